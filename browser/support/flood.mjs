// Traffic at a steady rate, over one connection that does not wait for answers.
import { once } from "node:events";
import { connect } from "node:net";

import { KEY } from "./sandbox.mjs";

const TICK = 20;
// Whoever is behind by more than this is not sent more, so that nothing grows.
const MOST_UNANSWERED = 4000;

/**
 * Sends so many events a second, of so many visitors in turn, and a decision after every tenth.
 * Tells in the end how many were answered in how many seconds.
 */
export async function startFlood(test, sandbox, { perSecond, visitors }) {
  const { hostname, port } = new URL(sandbox.url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, "connect");
  socket.on("error", () => {});
  const start = performance.now();
  let sent = 0;
  let answered = 0;
  let rest = "";
  socket.setEncoding("latin1").on("data", (text) => {
    const parts = (rest + text).split("HTTP/1.1 202");
    answered += parts.length - 1;
    rest = parts.at(-1).slice(-12);
  });
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - start) / 1000) * perSecond);
    let batch = "";
    for (; sent < due && sent - answered < MOST_UNANSWERED; sent += 1) {
      const visitor = {
        ip: `10.0.${Math.floor((sent % visitors) / 250)}.${(sent % visitors) % 250}`,
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
      };
      batch += request("/v1/events", { type: "http_request", path: `/${sent % 7}`, ...visitor });
      if (sent % 10 === 0) batch += request("/v1/mitigate", visitor);
    }
    if (batch) socket.write(batch);
  }, TICK);
  const stop = () => {
    clearInterval(timer);
    socket.destroy();
    return { answered, seconds: (performance.now() - start) / 1000 };
  };
  test.after(stop);
  return stop;
}

function request(path, body) {
  const json = JSON.stringify(body);
  const head = [
    `POST ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    `Authorization: Bearer ${KEY}`,
    `X-Esper-Key: ${KEY}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(json)}`,
  ];
  return `${head.join("\r\n")}\r\n\r\n${json}`;
}
