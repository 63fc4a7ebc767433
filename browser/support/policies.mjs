// A file of policies for a sandbox to read.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Writes such a file, and removes it when the test ends. */
export function policyFile(test, text) {
  const folder = mkdtempSync(join(tmpdir(), "esper-policies-"));
  test.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "policies.toml");
  const write = (text) => writeFileSync(path, text);
  write(text);
  return { path, write };
}
