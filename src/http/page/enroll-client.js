// src/error.ts
var EnrollError = class extends Error {
  name = "EnrollError";
  code;
  status;
  /** Seconds until the next try is welcome. */
  retryAfter;
  fields;
  requestId;
  /** With `challenge_required`: what was not solved. */
  challenge;
  /** With `account_not_activated`: the verification that is still pending. */
  verification;
  constructor(status, problem, retryAfter, cause) {
    super(problem.detail ?? problem.code, { cause });
    this.code = problem.code;
    this.status = status;
    this.retryAfter = retryAfter;
    this.fields = problem.errors ?? [];
    this.requestId = problem.request_id;
    this.challenge = problem.challenge;
    this.verification = problem.verification ?? void 0;
  }
};
function noSession() {
  return new EnrollError(401, { code: "missing_token", detail: "nobody is logged in" });
}

// src/transport.ts
var PATIENCE = 5;
var Transport = class {
  constructor(root, fetch, clock) {
    this.root = root;
    this.fetch = fetch;
    this.clock = clock;
  }
  /** Milliseconds that the server is ahead, as far as is known. */
  skew = 0;
  serverNow() {
    return this.clock.now() + this.skew;
  }
  /** Repeats a GET once when the server says that it will be back in a moment. */
  async send(call) {
    try {
      return await this.once(call);
    } catch (error) {
      const wait = error instanceof EnrollError && error.status === 503 ? error.retryAfter : void 0;
      if (call.method !== "GET" || wait === void 0 || wait > PATIENCE) throw error;
      await this.clock.sleep(wait * 1e3, call.signal);
      return this.once(call);
    }
  }
  async once({ method, path, body, headers, signal, timeout }) {
    const { fetch } = this;
    let response;
    let text;
    try {
      response = await fetch(this.root + path, {
        method,
        headers: definedHeaders(body, headers),
        body: body === void 0 ? null : JSON.stringify(body),
        signal: signal ?? (timeout ? AbortSignal.timeout(timeout) : null),
        // Tokens travel in headers; cookies of the site are nobody's business here.
        credentials: "omit"
      });
      text = await response.text();
    } catch (cause) {
      signal?.throwIfAborted();
      throw new EnrollError(0, { code: "network", detail: "no answer from the server" }, void 0, cause);
    }
    this.readDate(response);
    const answer = text ? parse(text) : void 0;
    if (response.ok && (response.status === 204 || isObject(answer))) return answer;
    throw new EnrollError(response.status, problemOf(response, answer), this.retryAfter(response, answer));
  }
  /** Not readable across origins unless the server exposes it; the skew then stays what it was. */
  readDate(response) {
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (date) this.skew = date + 500 - this.clock.now();
  }
  retryAfter(response, answer) {
    const header = response.headers.get("Retry-After");
    if (header === null) return answer?.retry_after ?? void 0;
    const seconds = Number(header);
    const wait = Number.isNaN(seconds) ? (Date.parse(header) - this.serverNow()) / 1e3 : seconds;
    return wait >= 0 ? wait : void 0;
  }
};
function basic({ username, password }) {
  return "Basic " + base64(`${username}:${password}`);
}
function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
function definedHeaders(body, headers) {
  const all = {
    Accept: "application/json",
    "Content-Type": body === void 0 ? void 0 : "application/json",
    ...headers
  };
  return Object.fromEntries(Object.entries(all).filter((entry) => entry[1] !== void 0));
}
function problemOf(response, answer) {
  if (!response.ok && isObject(answer) && typeof answer.code === "string") return answer;
  return {
    code: "unexpected_answer",
    detail: `the answer (${response.status}) is not the service's`,
    request_id: response.headers.get("X-Request-Id") ?? void 0
  };
}
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return void 0;
  }
}
function isObject(value) {
  return typeof value === "object" && value !== null;
}

// src/challenge.ts
var LANES = 4;
var LIFE = 3e5;
async function solvePow(challenge, signal) {
  if (challenge.kind !== "pow") throw new Error(`the client can't solve ${challenge.kind}`);
  const { parameters, signature } = challenge;
  const [, hash] = parameters.algorithm.split("PBKDF2/");
  if (!hash) throw new Error(`the client can't compute ${parameters.algorithm}`);
  const work = { name: "PBKDF2", hash, iterations: parameters.cost, salt: bytesOf(parameters.salt) };
  const nonce = bytesOf(parameters.nonce);
  const end = performance.now() + LIFE;
  let next = 0;
  let solution;
  async function lane() {
    while (!solution) {
      signal?.throwIfAborted();
      if (performance.now() > end) throw new Error("not solved in time");
      const counter = next++;
      const password = new Uint8Array([...nonce, counter >>> 24, counter >>> 16, counter >>> 8, counter]);
      const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
      const derivedKey = hexOf(await crypto.subtle.deriveBits(work, key, parameters.keyLength * 8));
      if (derivedKey.startsWith(parameters.keyPrefix)) solution = { counter, derivedKey };
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane));
  return base64(JSON.stringify({ challenge: { parameters, signature }, solution }));
}
function bytesOf(hex) {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
function hexOf(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// src/clock.ts
var systemClock = {
  now: () => Date.now(),
  sleep: (ms, signal) => new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  })
};

// src/session.ts
var MARGIN = 3e4;
var REFRESH_TIMEOUT = 3e4;
var SessionKeeper = class {
  constructor(storage, transport) {
    this.storage = storage;
    this.transport = transport;
    storage.watch?.(() => void this.look());
  }
  held = null;
  flight;
  /** The last refresh was told to wait. */
  barred;
  /** The storage could not be written: what it holds is older than `held`, and its refresh token is spent. */
  detached = false;
  queue = Promise.resolve();
  listeners = /* @__PURE__ */ new Set();
  async current() {
    return this.held ?? this.look();
  }
  onChange(listener) {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
  async save(answer) {
    const session = this.sessionOf(answer);
    await this.inTurn(() => this.write(session));
  }
  async drop() {
    await this.inTurn(() => this.write(null));
  }
  /** The session, renewed first when its access token is about to end. */
  async fresh() {
    const session = await this.current();
    if (!session || this.lasts(session)) return session;
    try {
      return await this.renew(session);
    } catch (error) {
      if (this.held === session && session.expires_at > this.transport.serverNow()) return session;
      throw error;
    }
  }
  /** The session after `stale`; many callers share one refresh. */
  async renew(stale) {
    this.flight ??= this.succeed(stale).finally(() => this.flight = void 0);
    const next = await this.flight;
    if (next.user_id === stale.user_id) return next;
    throw new EnrollError(401, { code: "session_changed", detail: "somebody else has logged in meanwhile" });
  }
  async succeed(stale) {
    const stored = await this.look();
    if (!stored) throw noSession();
    if (stored.refresh_token !== stale.refresh_token && this.lasts(stored)) return stored;
    try {
      const next = this.sessionOf(await this.exchange(stored.refresh_token));
      return await this.replace(stored, next) ?? Promise.reject(noSession());
    } catch (error) {
      if (!endsSession(error)) throw error;
      const winner = await this.replace(stored, null);
      if (!winner) throw error;
      return this.lasts(winner) ? winner : this.succeed(winner);
    }
  }
  async exchange(token) {
    const { clock } = this.transport;
    if (this.barred?.token === token && clock.now() < this.barred.until) {
      const { error, until } = this.barred;
      const left = Math.ceil((until - clock.now()) / 1e3);
      throw new EnrollError(error.status, { code: error.code, detail: error.message }, left);
    }
    try {
      const body = { refresh_token: token };
      return await this.transport.send({ method: "POST", path: "/auth/refresh", body, timeout: REFRESH_TIMEOUT });
    } catch (error) {
      if (error instanceof EnrollError && error.retryAfter !== void 0) {
        this.barred = { token, until: clock.now() + error.retryAfter * 1e3, error };
      }
      throw error;
    }
  }
  /** Puts `next` in the place of `old`, unless another tab was faster: then its session is taken. */
  replace(old, next) {
    return this.inTurn(async () => {
      const stored = await this.read();
      return stored?.refresh_token === old.refresh_token ? this.write(next) : this.adopt(stored);
    });
  }
  look() {
    return this.inTurn(async () => this.adopt(await this.read()));
  }
  /** One at a time, so that a slow storage can't answer with what has been replaced meanwhile. */
  inTurn(task) {
    const result = this.queue.then(task);
    this.queue = result.catch(() => void 0);
    return result;
  }
  async read() {
    if (this.detached) return this.held;
    try {
      return decode(await this.storage.get());
    } catch {
      return this.held;
    }
  }
  async write(session) {
    try {
      await (session ? this.storage.set(JSON.stringify(session)) : this.storage.remove());
      this.detached = false;
    } catch {
      this.detached = true;
    }
    return this.adopt(session);
  }
  adopt(session) {
    if (session?.access_token === this.held?.access_token) return this.held;
    this.held = session;
    if (session) this.transport.skew = session.skew;
    for (const listener of this.listeners) queueMicrotask(() => listener(session));
    return session;
  }
  lasts(session) {
    return session.expires_at - this.transport.serverNow() > MARGIN;
  }
  sessionOf(answer) {
    if (typeof answer.access_token !== "string") {
      throw new EnrollError(200, { code: "unexpected_answer", detail: "the answer has no tokens" });
    }
    const now = this.transport.serverNow();
    return {
      access_token: answer.access_token,
      refresh_token: answer.refresh_token,
      expires_at: now + answer.expires_in * 1e3,
      refresh_expires_at: now + answer.refresh_expires_in * 1e3,
      user_id: answer.user.id,
      skew: this.transport.skew
    };
  }
};
function endsSession(error) {
  return error instanceof EnrollError && error.status === 401 && (error.code === "invalid_token" || error.code === "token_reused");
}
function decode(text) {
  try {
    const session = JSON.parse(text ?? "null");
    return typeof session?.refresh_token === "string" ? session : null;
  } catch {
    return null;
  }
}

// src/storage.ts
function memoryStorage() {
  let text = null;
  const watchers = [];
  const put = (value) => {
    text = value;
    for (const changed of watchers) changed();
  };
  return {
    get: () => text,
    set: put,
    remove: () => put(null),
    watch: (changed) => void watchers.push(changed)
  };
}
function webStorage(store, key = "enroll.session") {
  const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(key) : void 0;
  channel?.unref?.();
  return {
    get: () => store.getItem(key),
    set(value) {
      store.setItem(key, value);
      channel?.postMessage(0);
    },
    remove() {
      store.removeItem(key);
      channel?.postMessage(0);
    },
    watch(changed) {
      channel?.addEventListener("message", changed);
      if (typeof window === "undefined") return;
      window.addEventListener("storage", (event) => {
        if (event.key === key || event.key === null) changed();
      });
    }
  };
}

// src/watch.ts
var WAIT = 25;
var PACE = 1500;
var LONGEST_BACK_OFF = 3e4;
async function* watch(look, clock, id, { signal, onState }) {
  let state;
  let waits = false;
  let failures = 0;
  while (!signal?.aborted) {
    const begun = clock.now();
    let pause;
    try {
      const status = await look(id, { wait: state === void 0 ? void 0 : WAIT, state, signal });
      const changed = status.state !== state;
      const held = clock.now() - begun >= PACE;
      failures = 0;
      state = status.state;
      if (changed) {
        onState?.(status);
        yield status;
      }
      if (state === "verified" || state === "expired") return;
      waits = held || waits && changed;
      pause = waits ? 0 : begun + PACE - clock.now();
    } catch (error) {
      if (signal?.aborted || error instanceof EnrollError && error.status === 404) return;
      pause = pauseAfter(error, failures++);
    }
    if (pause > 0) await clock.sleep(pause, signal);
  }
}
function pauseAfter(error, failures) {
  const passing = error instanceof EnrollError && (error.status === 0 || error.status === 429 || error.status >= 500);
  if (!passing) throw error;
  const backOff = Math.min(PACE * 2 ** failures, LONGEST_BACK_OFF);
  return Math.max(backOff, (error.retryAfter ?? 0) * 1e3);
}

// src/client.ts
function createClient({
  baseUrl = "",
  prefix = "/api/v1",
  storage = memoryStorage(),
  fetch = (url, init) => globalThis.fetch(url, init),
  clock = systemClock,
  solve
} = {}) {
  const transport = new Transport((baseUrl + prefix).replace(/\/+$/, ""), fetch, clock);
  const keeper = new SessionKeeper(storage, transport);
  async function request(method, path, options = {}) {
    const { auth, body, headers, signal } = options;
    const send = (Authorization) => transport.send({ method, path, body, signal, headers: { Authorization, ...headers } });
    if (auth === true) return authorised((session) => send(`Bearer ${session.access_token}`), signal);
    return send(auth ? basic(auth) : void 0);
  }
  async function authorised(send, signal) {
    const session = await keeper.fresh();
    signal?.throwIfAborted();
    if (!session) throw noSession();
    try {
      return await send(session);
    } catch (error) {
      if (!(error instanceof EnrollError && error.code === "invalid_token")) throw error;
      const next = await keeper.renew(session);
      signal?.throwIfAborted();
      return send(next);
    }
  }
  const post = (path, body, options) => request("POST", path, {
    ...options,
    body,
    headers: { "Idempotency-Key": options?.idempotencyKey, ...options?.headers }
  });
  async function postForCode(path, body, options) {
    try {
      return await post(path, body, options);
    } catch (error) {
      if (!(error instanceof EnrollError && error.challenge)) throw error;
      options?.onChallenge?.(error.challenge);
      const challenge = await solved(error, error.challenge, options?.signal);
      return post(path, { ...body, challenge }, options);
    }
  }
  async function solved(refusal, challenge, signal) {
    try {
      return await solve?.(challenge, signal) ?? await solvePow(challenge, signal);
    } catch (cause) {
      throw Object.assign(refusal, { cause });
    } finally {
      signal?.throwIfAborted();
    }
  }
  async function open(path, body, options) {
    const answer = await post(path, body, options);
    await keeper.save(answer);
    return answer;
  }
  const verification = (id, { wait, state, signal } = {}) => {
    const query = new URLSearchParams();
    if (wait) query.set("wait", String(wait));
    if (state) query.set("state", state);
    const path = `/auth/verifications/${encodeURIComponent(id)}?${query}`;
    return request("GET", path, signal && { signal });
  };
  return {
    request,
    session: {
      current: () => keeper.current(),
      /** The session with an access token that lives for another half a minute, for calls to one's own API. */
      fresh: () => keeper.fresh(),
      /** Called at login, refresh and logout, in other tabs as well; the answer unsubscribes. */
      onChange: (listener) => keeper.onChange(listener)
    },
    // Registration and codes
    register: (body, options) => postForCode("/auth/register", body, options),
    /** Proves a code, of a registration or a login, and keeps the session that it opens. */
    verify: (body, options) => open("/auth/verify-otp", body, options),
    resend: (body, options) => postForCode("/auth/resend-otp", body, options),
    verification,
    /** Follows what becomes of a code. */
    watch: (id, options = {}) => watch(verification, clock, id, options),
    /** By HTTP Basic, for who kept no id; opens no session. */
    activate: (credentials, body, options) => post("/users/activate", body, { ...options, auth: credentials }),
    /** By HTTP Basic, for who kept no id. */
    resendCode: (credentials, body, options) => postForCode("/users/resend-code", body, { ...options, auth: credentials }),
    // Login and recovery
    login: (body, options) => open("/auth/login", body, options),
    /** Sends a code to log in by; `verify` takes it. */
    sendCode: (body, options) => postForCode("/auth/send-otp", body, options),
    forgotPassword: (body, options) => postForCode("/auth/forgot-password", body, options),
    resetPassword: (body, options) => post("/auth/reset-password", body, options),
    /** Forgets the session at once; rejects when the server could not be told. */
    async logout(options) {
      const session = await keeper.current();
      if (!session) return;
      await keeper.drop();
      await post("/auth/logout", { refresh_token: session.refresh_token }, options);
    },
    /** Ends every session of the account; rejects, and keeps this one, when the server could not be told. */
    async logoutAll(options) {
      await post("/auth/logout-all", void 0, { ...options, auth: true });
      await keeper.drop();
    },
    // The account
    me: (options) => request("GET", "/users/me", { ...options, auth: true }),
    /** Absent is unchanged, null is cleared; `data` is merged. */
    updateMe: (body, options) => request("PATCH", "/users/me", { ...options, body, auth: true }),
    async deleteMe(body, options) {
      await request("DELETE", "/users/me", { ...options, body, auth: true });
      await keeper.drop();
    },
    /** Everything that the service holds about the person. */
    exportMe: (options) => request("GET", "/users/me/export", { ...options, auth: true }),
    /** Ends every other session. */
    changePassword: (body, options) => post("/users/me/password", body, { ...options, auth: true }),
    addContact: (body, options) => postForCode("/users/me/contacts", body, { ...options, auth: true }),
    verifyContact: (body, options) => post("/users/me/contacts/verify", body, { ...options, auth: true }),
    removeContact: (contact, body, options) => request("DELETE", `/users/me/contacts/${contact}`, { ...options, body, auth: true }),
    sessions: (options) => request("GET", "/users/me/sessions", { ...options, auth: true }),
    revokeSession: (id, options) => request("DELETE", `/users/me/sessions/${encodeURIComponent(id)}`, { ...options, auth: true })
  };
}
export {
  EnrollError,
  createClient,
  memoryStorage,
  webStorage
};
