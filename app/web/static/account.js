// Who is logged in: what the header shows of it, and what a login and a logout change on this page.

import { get, post, Problem } from "./api.js";
import { refresh } from "./cart.js";
import { show, toast } from "./dom.js";
import { cartUuid, forgetPerson, keepCart, keepName, loggedInAs } from "./store.js";

const place = document.querySelector("[data-account]");

export function showWho() {
  const name = loggedInAs();
  place.setAttribute("href", name ? "#/account" : "#/login");
  place.setAttribute("aria-label", name ? `Your account, ${name}` : "Log in");
  show(place, name || "Log in");
}

// What every login sends along: the guest's cart, which becomes the customer's.
export const brought = () => (cartUuid() ? { cart_uuid: cartUuid() } : {});

export function nowIs(name) {
  keepName(name);
  showWho();
}

export async function arrive(customer, next) {
  nowIs(customer.firstname || customer.username);
  const own = await get("/cart");
  if (own.token) keepCart(own.token);
  await refresh();
  toast(`Welcome, ${loggedInAs()}.`);
  // What led here, a form or a mailed secret, is not to be gone back to.
  location.replace(`#${next || "/account"}`);
}

// Nobody is logged in here any more: whoever comes next finds a shop like any other.
export async function leave(said) {
  forgetPerson();
  location.replace("#/");
  showWho();
  toast(said);
  await refresh().catch(() => {});
}

export async function logOut() {
  try {
    await post("/customer/logout");
  } catch (error) {
    toast(error.message);
    return;
  }
  await leave("You are logged out.");
}

// The customer; whoever is not logged in is led to the login by the 401, and a guest is not even asked for.
export async function customer({ signal } = {}) {
  if (!loggedInAs()) throw new Problem(401, { detail: "Please log in." });
  return get("/customer", { signal });
}

// The customer where there is one: for pages that guests see too.
export async function findCustomer({ signal } = {}) {
  try {
    return await customer({ signal });
  } catch (error) {
    if (!(error instanceof Problem) || ![401, 503].includes(error.status)) throw error;
    if (error.status === 401) nowIs(null);
    return null;
  }
}
