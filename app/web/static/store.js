// What this browser remembers: the cart's secret, who is logged in by name, a payment on its way, and the secrets of
// placed orders.

const read = (name) => {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "null");
  } catch {
    return null;
  }
};
const write = (name, value) => {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing still shops; only a reload forgets.
  }
};

export const cartUuid = () => read("cart");
export const keepCart = (uuid) => write("cart", uuid);

// The login itself is a cookie; this name only says that there is one, so that guests need not ask.
export const loggedInAs = () => read("name");
export const keepName = (name) => write("name", name);

export const paying = () => read("paying");
export const keepPaying = (state) => write("paying", state);

export const orderToken = (id) => (read("orders") ?? {})[id]?.token;
export const knownOrders = () =>
  Object.entries(read("orders") ?? {})
    .map(([id, order]) => ({ id, ...order }))
    .reverse();
export function keepOrder(order) {
  if (!order.checkout_token) return;
  write("orders", { ...read("orders"), [order.id]: { token: order.checkout_token, number: order.number } });
}

// What the next person at this browser must not find.
export function forgetPerson() {
  for (const name of ["name", "cart", "paying", "orders"]) write(name, null);
}
