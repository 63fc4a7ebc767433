// The shop of examples/axum.rs, with a sandbox in its process or another Esper, on a free port.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Opens the shop, and closes it when the test ends. */
export async function openBakery(test, esper) {
  const { ESPER_API_KEY: _, ...inherited } = process.env;
  const asked = esper && {
    ESPER_API_KEY: "browser-test-key",
    ESPER_API_URL: esper.url,
    ESPER_BEACON_URL: esper.url,
  };
  const program = ["run", "--quiet", "--features", "metrics,tower", "--example", "axum", "--", "0"];
  const child = spawn("cargo", program, {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { ...inherited, ...asked },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const exited = once(child, "exit");
  const said = [];
  const close = async () => {
    child.kill("SIGINT");
    const [code] = await exited;
    return { code, said };
  };
  test.after(close);
  const opened = new Promise((resolve) => {
    createInterface(child.stdout).on("line", (line) => {
      said.push(line);
      const [url] = /http:\/\/\S+/.exec(line) ?? [];
      if (line.startsWith("The shop is open") && url) resolve(url);
    });
  });
  const url = await Promise.race([opened, exited.then(() => undefined)]);
  if (!url) throw new Error(`the shop did not open: ${log}`);
  return { url, close };
}
