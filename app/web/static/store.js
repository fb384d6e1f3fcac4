// What this browser remembers: the cart's secret, a payment on its way, and the secrets of placed orders.

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
