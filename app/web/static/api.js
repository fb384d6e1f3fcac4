// The only door to the shop: the public API under /storefront/v1.

const BASE = "/storefront/v1";

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || "Something went wrong.");
    this.status = status;
    this.code = body.code || "";
    this.body = body;
    this.errors = body.errors || [];
  }
}

export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function request(method, address, { query, body, headers = {}, key, signal } = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (Array.isArray(value)) value.forEach((one) => search.append(`${name}[]`, one));
    else if (value !== undefined && value !== null && value !== "") search.set(name, value);
  }
  const url = search.size ? `${address}?${search}` : address;
  // A login is kept in a cookie that no script can read.
  const sent = { Accept: "application/json", "X-Session": "cookie", ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  if (key) sent["Idempotency-Key"] = key;
  const options = { method, headers: sent, signal, body: body === undefined ? undefined : JSON.stringify(body) };
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // What can be repeated without harm is repeated once: reads, and writes that carry a key.
    if (method !== "GET" && !key) throw new Problem(0, { detail: "The shop can't be reached just now.", code: "unreachable" });
    try {
      response = await fetch(url, options);
    } catch {
      throw new Problem(0, { detail: "The shop can't be reached just now.", code: "unreachable" });
    }
  }
  const isJson = (response.headers.get("content-type") || "").includes("json");
  const answer = isJson ? await response.json() : null;
  if (!response.ok) throw new Problem(response.status, answer ?? { detail: `The shop answered ${response.status}.` });
  return { status: response.status, data: answer, headers: response.headers };
}

export const get = async (path, options) => (await request("GET", BASE + path, options)).data;
export const send = (method, path, body, options) => request(method, BASE + path, { ...options, body });
export const post = async (path, body, options) => (await send("POST", path, body, options)).data;
export const put = async (path, body, options) => (await send("PUT", path, body, options)).data;
export const patch = async (path, body, options) => (await send("PATCH", path, body, options)).data;
export const remove = (path, query, body) => request("DELETE", BASE + path, { query, body });
export const dev = async (path, options) => (await request("GET", `/dev${path}`, options)).data;

let known;
export function options() {
  known ??= get("/options").catch((error) => {
    known = undefined;
    throw error;
  });
  return known;
}

let shelves;
export function categories() {
  shelves ??= get("/categories", { query: { offset: 100, expand: "collections" } }).catch((error) => {
    shelves = undefined;
    throw error;
  });
  return shelves;
}
