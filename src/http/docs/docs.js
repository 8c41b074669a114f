// The calls tell one story from top to bottom: what one answers (tokens, ids) fills the placeholders of the next.
const NO_ID = "00000000-0000-4000-8000-000000000000";
const NO_CODE = "123456";
const NO_TOKEN = "refresh-token";
const NO_KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324";
const known = { verification: null, session: null, refresh: null };

// Swagger UI has dark colours, but does not ask whether they are wanted.
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

// A number and an address are registered once, so each visit has its own.
const visit = String(crypto.getRandomValues(new Uint32Array(1))[0] % 100_000).padStart(5, "0");
const text = (await (await fetch("/openapi.json")).text())
  .replaceAll("9876543210", `98765${visit}`)
  .replaceAll("ann@example.com", `ann${visit}@example.com`);

const ui = window.SwaggerUIBundle({
  spec: JSON.parse(text),
  defaultModelsExpandDepth: -1,
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  layout: "BaseLayout",
  syntaxHighlight: { theme: "tomorrow-night" },
  presets: [window.SwaggerUIBundle.presets.apis],
  requestInterceptor: fillIn,
  responseInterceptor: remember,
});

async function fillIn(request) {
  if (known.verification) request.url = request.url.replace(`verifications/${NO_ID}`, `verifications/${known.verification}`);
  if (known.session) request.url = request.url.replace(`sessions/${NO_ID}`, `sessions/${known.session}`);
  if (request.headers?.["Idempotency-Key"] === NO_KEY) request.headers["Idempotency-Key"] = newKey();
  if (typeof request.body !== "string") return request;
  let body = request.body;
  if (known.verification) body = body.replaceAll(NO_ID, known.verification);
  if (known.refresh) body = body.replaceAll(NO_TOKEN, known.refresh);
  if (body.includes(`"${NO_CODE}"`)) body = body.replaceAll(NO_CODE, (await newestCode()) ?? NO_CODE);
  request.body = body;
  return request;
}

// A key stands for one request: sent again under it, "resend" would send nothing.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// The development inbox; where it is off, the code is typed as it arrives.
async function newestCode() {
  const answer = await fetch("/dev/inbox");
  return answer.ok ? (await answer.json()).find((message) => message.otp)?.otp : undefined;
}

function remember(response) {
  const answer = response.body;
  if (!response.ok || typeof answer !== "object" || answer === null) return response;
  if (answer.verification?.verification_id) known.verification = answer.verification.verification_id;
  if (answer.sessions) known.session = (answer.sessions.find((one) => !one.current) ?? answer.sessions[0])?.id;
  if (answer.access_token) {
    known.refresh = answer.refresh_token;
    ui.preauthorizeApiKey("bearer", answer.access_token);
  }
  return response;
}
