// An Esper that says what a test wants, for answers that no sandbox gives.
import { listen } from "./listen.mjs";

/** Starts it, and stops it when the test ends. Its `decision` and its `verdict` can be changed. */
export async function startEsper(test) {
  // A verdict is whether an answer or a proof is right, or the status of a failure.
  const esper = { decision: { action: "allow" }, verdict: true, asked: [] };
  const port = await listen(test, async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const said = body && JSON.parse(body);
    esper.asked.push({ path: request.url, body: said });
    const [status, answer] = answerTo(esper, request, said);
    if (status === 303) return response.writeHead(303, { Location: answer }).end();
    response.writeHead(status, { "Content-Type": "application/json" });
    return response.end(JSON.stringify(answer));
  });
  esper.url = `http://127.0.0.1:${port}`;
  return esper;
}

function answerTo(esper, request, said) {
  const url = new URL(request.url, esper.url);
  switch (url.pathname) {
    case "/v1/mitigate":
      return [200, decisionFor(esper, said)];
    case "/v1/verify":
    case "/api/v1/challenge/proof/verify":
      return typeof esper.verdict === "number"
        ? [esper.verdict, { message: "as the test wants it" }]
        : [200, { valid: esper.verdict }];
    // The page of a managed challenge, which has nothing to ask.
    case "/managed":
      return [303, `${url.searchParams.get("to")}?esper_challenge_proof=a-proof`];
    default:
      return [202, {}];
  }
}

/** A decision that is `managed` leads to a page of Esper's, and back. */
function decisionFor({ decision, url }, { return_url: to }) {
  const { managed, ...rest } = decision;
  if (!managed || !to) return rest;
  return { ...rest, redirect_url: `${url}/managed?to=${encodeURIComponent(to)}` };
}
