/* Talking to the program: one place for errors, for the line being dead, and for coming back. */

export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? `The program answered with an error (${status}).`);
    this.status = status;
    this.body = body;
  }
}

/** The program did not answer at all. */
export class Unreachable extends Error {}

let session = null;
let waiting = null;
const listeners = new Set();
const line = { up: true, allowed: true };

/** Be told when the line dies ({ up: false }), comes back, or the page may not ask any more. */
export function onLine(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const isUp = () => line.up && line.allowed;

function now(change) {
  const before = { ...line };
  Object.assign(line, change);
  if (before.up !== line.up || before.allowed !== line.allowed) {
    listeners.forEach((listener) => listener({ ...line }));
  }
  if (!line.up || !line.allowed) waiting ??= setTimeout(look, 2000);
}

async function look() {
  waiting = null;
  try { await getSession(true); } catch { /* `now` has been told */ }
}

/** The line looks dead (an event stream broke): find out. */
export const doubt = () => { if (line.up) look(); };

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    now({ up: false });
    throw new Unreachable("The program does not answer.");
  }
  now({ up: true, allowed: response.status !== 401 });
  if (response.ok) return response;
  throw new Refused(response.status, await response.json().catch(() => null));
}

/** What the program knows about itself; asked once, and anew after it was restarted. */
export async function getSession(anew = false) {
  if (!session || anew) session = await (await send("/api/session")).json();
  return session;
}

/** Ask; what changes something carries the key of this session. */
export async function request(method, path, { body, headers = {}, signal, keepalive } = {}) {
  const plain = body === undefined || body instanceof Blob || body instanceof Uint8Array;
  const ask = async () => send(path, {
    method, signal, keepalive,
    body: plain ? body : JSON.stringify(body),
    headers: {
      ...(plain ? {} : { "Content-Type": "application/json" }),
      ...(method === "GET" ? {} : { "X-Legseg-Desk": (await getSession()).csrf }),
      ...headers,
    },
  });
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 403 || method === "GET") throw error;
    await getSession(true); // the program was restarted, its key is another one
    return ask();
  }
}

export const get = async (path) => (await request("GET", path)).json();
export const getBytes = async (path) => new Uint8Array(await (await request("GET", path)).arrayBuffer());

export async function post(path, body = {}) {
  const response = await request("POST", path, { body });
  return response.status === 204 ? null : response.json().catch(() => null);
}

export async function put(path, body, headers = {}) {
  const response = await request("PUT", path, { body, headers });
  return response.status === 204 ? null : response.json().catch(() => null);
}

export const projectPath = (id, ...rest) =>
  ["/api/projects", id, ...rest].map((part, i) => (i ? encodeURIComponent(part) : part)).join("/");

/** Follow a project: `listener` gets its state now and after each change, also after the lid was
    closed or the program was restarted. Returns a function that ends it. */
export function follow(id, listener) {
  let source = null;
  let over = false;
  let retry = null;
  const open = () => {
    clearTimeout(retry);
    source?.close();
    if (over) return;
    source = new EventSource(projectPath(id, "events"));
    source.onmessage = ({ data }) => { now({ up: true }); listener(JSON.parse(data)); };
    source.onerror = () => {
      doubt();
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, 2000);
    };
  };
  const awake = () => { // a browser has few connections for all tabs: one that nobody sees has none
    if (document.hidden) {
      clearTimeout(retry);
      source?.close();
    } else open();
  };
  const back = onLine(({ up, allowed }) => { if (up && allowed) open(); });
  document.addEventListener("visibilitychange", awake);
  open();
  return () => {
    over = true;
    clearTimeout(retry);
    source?.close();
    back();
    document.removeEventListener("visibilitychange", awake);
  };
}
