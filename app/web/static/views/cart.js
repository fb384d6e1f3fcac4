// The cart by an address of its own, which a mailed reminder leads to: the shop, with the cart open over it.

import { open, refresh } from "../cart.js";
import { keepCart } from "../store.js";
import { homeView } from "./lists.js";

export async function cartView({ query, signal }) {
  if (query.get("cart_uuid")) keepCart(query.get("cart_uuid"));
  const [home] = await Promise.all([homeView({ signal }), refresh()]);
  open();
  return { ...home, title: "Cart" };
}
