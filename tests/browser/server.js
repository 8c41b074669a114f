import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.ENROLL_BIN ?? new URL("../../target/debug/enroll", import.meta.url).pathname;

const freePort = () =>
  new Promise((found) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => found(port));
    });
  });

/** Starts the real server with a data directory of its own; `settings` are `ENROLL__…` variables. */
export async function startServer(settings = {}) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const data = await mkdtemp(join(tmpdir(), "enroll-browser-"));
  const lines = [];
  const child = spawn(BINARY, ["serve"], {
    cwd: data,
    env: {
      ...process.env,
      ENROLL__SERVER__ADDRESS: `127.0.0.1:${port}`,
      ENROLL__ADMIN__ADDRESS: "off",
      ENROLL__DATA_DIR: data,
      ENROLL__LIMITS__ENABLED: "false",
      ...settings,
    },
  });
  child.stdout.on("data", (line) => lines.push(line));
  child.stderr.on("data", (line) => lines.push(line));

  const stop = async () => {
    if (child.exitCode === null) {
      const ended = new Promise((end) => child.once("exit", end));
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await ended;
      clearTimeout(late);
    }
    await rm(data, { recursive: true, force: true });
  };

  for (let tries = 0; tries < 100; tries++) {
    if (child.exitCode !== null) break;
    if (await fetch(`${url}/readyz`).then(({ ok }) => ok, () => false)) return { url, stop };
    await new Promise((wait) => setTimeout(wait, 100));
  }
  await stop();
  throw new Error(`${BINARY} did not start:\n${lines.join("")}`);
}
