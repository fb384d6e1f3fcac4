// Passkeys: what the browser is asked for, in the JSON form that the API speaks (WebAuthn, level 3).

import { post, Problem } from "./api.js";

export const canUsePasskeys = () => Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);

// The browser's own dialog says what went wrong; whoever closes it has changed their mind.
function refused(error) {
  if (error instanceof Problem) return error;
  const known = { InvalidStateError: "This device has a passkey for your account already.", NotAllowedError: "No passkey was given." };
  return new Problem(0, { detail: known[error.name] ?? "This browser could not do that.", code: "passkey_refused" });
}

// `proof` is the password where the login is old.
export async function makePasskey(proof) {
  const asked = await post("/customer/passkeys/options", proof);
  try {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked);
    return (await navigator.credentials.create({ publicKey })).toJSON();
  } catch (error) {
    throw refused(error);
  }
}

export async function askForPasskey() {
  const { login_id, ...asked } = await post("/customer/login/passkey/options", {});
  try {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked);
    return { login_id, credential: (await navigator.credentials.get({ publicKey })).toJSON() };
  } catch (error) {
    throw refused(error);
  }
}
