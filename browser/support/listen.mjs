// A server of a test.
import { once } from "node:events";
import { createServer } from "node:http";

/** Starts a server on a free port of this machine, and stops it when the test ends. */
export async function listen(test, handle) {
  const server = createServer(handle);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  test.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return server.address().port;
}
