"""Makes every call of the Esper API with a client that was generated from the spec, and compares
the answers with what the spec says. Exits with 1 at the first answer that differs."""

import hashlib
import os
import sys
import time
from http import HTTPStatus
from itertools import count
from typing import NoReturn, TypeVar
from uuid import UUID, uuid4

from httpx import Timeout

from esper_client import AuthenticatedClient
from esper_client.api.account import get_usage
from esper_client.api.challenges import verify_challenge, verify_challenge_proof
from esper_client.api.decisions import check_mitigation
from esper_client.api.telemetry import send_beacon_event
from esper_client.models import (
    BeaconEvent,
    BeaconEventData,
    ChallengeData,
    ChallengeProof,
    ChallengeVerification,
    ErrorBody,
    MitigationAction,
    MitigationRequest,
    MitigationRequestHeaders,
    MitigationRequestMetadata,
    MitigationResponse,
    UsageStats,
    VerificationResult,
)
from esper_client.types import UNSET, Response


def main() -> None:
    key = setting("ESPER_API_KEY")
    api = api_client(key)
    beacon = beacon_client(key)

    # A visitor of whom the service knows nothing, however often this program runs.
    ip = "203.0.113.7"
    user_agent = f"conformance-python/{uuid4()}"
    visitor = MitigationRequest(
        ip=ip,
        user_agent=user_agent,
        path="/login",
        method="POST",
        headers=MitigationRequestHeaders.from_dict({"accept-language": "de-CH"}),
        body={"items": 2},
        metadata=MitigationRequestMetadata.from_dict({"session_id": "session-123"}),
        return_url="https://shop.example.net/login",
    )
    event = BeaconEvent(
        type_="http_request",
        timestamp=time.time_ns() // 1_000_000,
        ip=ip,
        user_agent=user_agent,
        path="/login",
        method="POST",
        session_id="session-123",
        data=BeaconEventData.from_dict({"status": 200, "duration_ms": 12.5}),
    )

    before = usage(api)

    fresh = decide(api, visitor)
    same("a fresh visitor", fresh.action, MitigationAction.ALLOW)

    # 60 events within 10 s are no excess. A repeated Idempotency-Key does not count as a 61st.
    last = uuid7()
    for _ in range(59):
        send(beacon, event, uuid7())
    send(beacon, event, last)
    send(beacon, event, last)
    quiet = decide(api, visitor)
    same("60 events, one of them sent twice", quiet.action, MitigationAction.ALLOW)

    send(beacon, event, uuid7())
    decision = decide(api, visitor)
    same("61 events", decision.action, MitigationAction.CHALLENGE)

    challenge = decision.challenge or fail("the decision has no challenge")
    same("the type of the challenge", challenge.type_, "proof_of_work")
    same("a wrong response", verify(api, challenge.token, "x"), False)
    nonce = solve(challenge)
    same("the right response", verify(api, challenge.token, nonce), True)
    same("the same response again", verify(api, challenge.token, nonce), False)
    passed = decide(api, visitor)
    same("the visitor who solved the challenge", passed.action, MitigationAction.ALLOW)

    proof = ChallengeProof(proof="x", ip=ip, user_agent=user_agent)
    proven = verify_challenge_proof.sync_detailed(client=api, body=proof)
    same("a proof that nobody issued", succeeded(proven, VerificationResult).valid, False)

    after = usage(api)
    same("decisions in the usage", after.requests - before.requests, 4)
    same("allowed decisions", after.allowed - before.allowed, 3)
    same("challenged decisions", after.challenged - before.challenged, 1)
    same("blocked decisions", after.blocked - before.blocked, 0)

    malformed = MitigationRequest(ip="not an address")
    refusal = check_mitigation.sync_detailed(client=api, body=malformed)
    refused("a malformed address", refusal, HTTPStatus.BAD_REQUEST)

    wrong = api_client(f"{key}-wrong")
    wrong_beacon = beacon_client(f"{key}-wrong")
    answer = ChallengeVerification(token="x", response="x")
    unauthorized = HTTPStatus.UNAUTHORIZED
    refused(
        "a wrong key at check_mitigation",
        check_mitigation.sync_detailed(client=wrong, body=visitor),
        unauthorized,
    )
    refused(
        "a wrong key at verify_challenge",
        verify_challenge.sync_detailed(client=wrong, body=answer),
        unauthorized,
    )
    refused(
        "a wrong key at verify_challenge_proof",
        verify_challenge_proof.sync_detailed(client=wrong, body=proof),
        unauthorized,
    )
    refused("a wrong key at get_usage", get_usage.sync_detailed(client=wrong), unauthorized)
    refused(
        "a wrong key at send_beacon_event",
        send_beacon_event.sync_detailed(client=wrong_beacon, body=event),
        unauthorized,
    )


# One client for each server of the spec, because they take the key in different headers. Neither
# follows redirects, which is the generated client's default.


def api_client(key: str) -> AuthenticatedClient:
    """Sends `Authorization: Bearer KEY`, the generated client's default."""
    return AuthenticatedClient(
        base_url=setting("ESPER_API_URL"),
        token=key,
        timeout=TIMEOUT,
        raise_on_unexpected_status=True,
    )


def beacon_client(key: str) -> AuthenticatedClient:
    """Sends `X-Esper-Key: KEY`."""
    return AuthenticatedClient(
        base_url=setting("ESPER_BEACON_URL"),
        token=key,
        prefix="",
        auth_header_name="X-Esper-Key",
        timeout=TIMEOUT,
        raise_on_unexpected_status=True,
    )


def decide(api: AuthenticatedClient, visitor: MitigationRequest) -> MitigationResponse:
    response = check_mitigation.sync_detailed(client=api, body=visitor)
    return succeeded(response, MitigationResponse)


def verify(api: AuthenticatedClient, token: str, answer: str) -> bool:
    body = ChallengeVerification(token=token, response=answer)
    response = verify_challenge.sync_detailed(client=api, body=body)
    return succeeded(response, VerificationResult).valid


def usage(api: AuthenticatedClient) -> UsageStats:
    return succeeded(get_usage.sync_detailed(client=api), UsageStats)


def send(beacon: AuthenticatedClient, event: BeaconEvent, idempotency_key: UUID) -> None:
    response = send_beacon_event.sync_detailed(
        client=beacon, body=event, idempotency_key=idempotency_key
    )
    if not 200 <= response.status_code < 300:
        fail(f"POST /v1/events answered {response.status_code.value}")


def solve(challenge: ChallengeData) -> str:
    """The smallest decimal nonce that solves a proof of work."""
    params = challenge.params or fail("the challenge has no params")
    same("the algorithm of the challenge", params["algorithm"], "sha256")
    salt, difficulty = params["salt"], params["difficulty"]
    if not isinstance(salt, str):
        fail("the salt is not a string")
    if not isinstance(difficulty, int):
        fail("the difficulty is not an integer")
    if difficulty > 24:
        fail(f"a difficulty of {difficulty} bits takes too long")
    for nonce in count():
        digest = hashlib.sha256(f"{salt}:{nonce}".encode()).digest()
        if int.from_bytes(digest) >> (256 - difficulty) == 0:
            return str(nonce)
    raise AssertionError("count() does not end")


def uuid7() -> UUID:
    """A UUID of version 7, which begins with the time."""
    milliseconds = time.time_ns() // 1_000_000
    return UUID(f"{milliseconds:012x}7{uuid4().hex[13:]}")


def setting(name: str) -> str:
    return os.environ.get(name) or fail(f"{name} is not set")


T = TypeVar("T")


def succeeded(response: Response[ErrorBody | T], kind: type[T]) -> T:
    if not isinstance(response.parsed, kind):
        fail(f"{response.status_code.value} instead of {kind.__name__}: {response.content!r}")
    return response.parsed


def refused(what: str, response: Response[T], status: HTTPStatus) -> None:
    same(what, response.status_code.value, status.value)
    if not isinstance(response.parsed, ErrorBody):
        fail(f"{what}: the body is no error body")
    if not isinstance(response.parsed.message, str):
        fail(f"{what}: the error body has no message")
    if response.parsed.code is not UNSET and not isinstance(response.parsed.code, str):
        fail(f"{what}: the code is no string")


def same(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        fail(f"{what}: {actual}, expected {expected}")
    print(f"ok: {what}: {actual}")


def fail(why: str) -> NoReturn:
    sys.exit(f"failed: {why}")


TIMEOUT = Timeout(10)

if __name__ == "__main__":
    main()
