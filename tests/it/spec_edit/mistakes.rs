//! Mistakes in the spec, each with the place and the words in which it is to be told.

use std::fmt::Write as _;

use super::copy::WorkspaceCopy;
use super::edited;

/// An edit that is a mistake; `# here` ends the line on which it is to be found.
struct Mistake {
    from: &'static str,
    to: &'static str,
    /// What the sentence has to contain.
    words: &'static [&'static str],
}

#[test]
fn a_mistake_in_the_spec_is_a_sentence_with_its_place() {
    let copy = WorkspaceCopy::new("spec-mistakes");
    let mut faults = String::new();
    for Mistake { from, to, words } in MISTAKES {
        let spec = edited(&[(from, to)]);
        let line = spec.lines().position(|line| line.ends_with("# here")).expect("a place") + 1;
        copy.write("openapi/esper.yaml", &spec);
        // Not `check`: it would look at all dependencies anew, while `build` finds them built.
        let outcome = copy.build(&["--lib"]);

        let told = outcome.text.lines().find(|line| line.contains("openapi/esper.yaml"));
        let told = told.unwrap_or_default();
        let place = format!("openapi/esper.yaml:{line}: ");
        let misses = words.iter().filter(|word| !told.contains(**word)).collect::<Vec<_>>();
        let traces = ["panicked at", "stack backtrace", "RUST_BACKTRACE"];
        let trace = traces.iter().find(|trace| outcome.text.contains(**trace));
        if outcome.success || !told.contains(&place) || !misses.is_empty() || trace.is_some() {
            let what = format!("expected {place:?}, misses {misses:?}, has {trace:?}");
            let _ = writeln!(faults, "{to:?}\n{what}, success: {}", outcome.success);
            let _ = writeln!(faults, "{}", outcome.text);
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        from: "tags:\n  - name: decisions\n",
        to: "tags:\n  - name: [decisions\n  - name: # here\n",
        words: &["is not YAML"],
    },
    Mistake {
        from: "info:\n  title: Esper\n",
        to: "info:\n  title: Esper\n  title: Other # here\n",
        words: &["is not YAML", "duplicated key"],
    },
    Mistake {
        from: "  - name: decisions\n",
        to: "  - name: *decisions # here\n",
        words: &["is not YAML", "unknown anchor"],
    },
    Mistake {
        from: "  /v1/usage:\n",
        to: "  v1/usage: # here\n",
        words: &["v1/usage", "begins with a slash"],
    },
    Mistake {
        from: "  /v1/usage:\n",
        to: "  /v1/usage?of=key: # here\n",
        words: &["/v1/usage?of=key", "neither a query"],
    },
    Mistake {
        from: "  /v1/usage:\n",
        to: "  /v1/./usage: # here\n",
        words: &["/v1/./usage", "a URL spells otherwise"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n      operationId: get_usage\n",
        to: "  /v1/usage:\n    get: # here\n",
        words: &["/v1/usage > get", "`operationId` is missing"],
    },
    Mistake {
        from: "operationId: verify_challenge\n",
        to: "operationId: check_mitigation # here\n",
        words: &["names a second operation"],
    },
    Mistake {
        from: "operationId: get_usage\n",
        to: "operationId: getUsage # here\n",
        words: &["/v1/usage > get > operationId"],
    },
    Mistake {
        from: "operationId: get_usage\n",
        to: "operationId: match # here\n",
        words: &["/v1/usage > get > operationId", "a word of Rust"],
    },
    Mistake {
        from: "operationId: get_usage\n",
        to: "operationId: get__usage # here\n",
        words: &["/v1/usage > get > operationId", "an underscore too many"],
    },
    Mistake {
        from: "operationId: get_usage\n",
        to: "operationId: 7 # here\n",
        words: &["must be a string"],
    },
    Mistake {
        from: "      x-esper-retry: always\n      responses:\n        '200':\n          description: The counts.",
        to: "      x-esper-retry: sometimes # here\n      responses:\n        '200':\n          description: The counts.",
        words: &["x-esper-retry", "`always` or `unprocessed`"],
    },
    Mistake {
        from: "    get:\n      operationId: get_usage\n      tags:\n        - account\n      summary: Read the usage\n      description: Counts the decisions that the key received in the current period.\n      x-esper-retry: always\n",
        to: "    get: # here\n      operationId: get_usage\n",
        words: &["/v1/usage > get", "`x-esper-retry` is missing"],
    },
    Mistake {
        from: "      responses:\n        '200':\n          description: The counts.",
        to: "      responses: # here\n        '300':\n          description: The counts.",
        words: &["exactly one success"],
    },
    Mistake {
        from: "                $ref: '#/components/schemas/UsageStats'",
        to: "                $ref: '#/components/schemas/Usage' # here",
        words: &["refers to nothing in this document"],
    },
    Mistake {
        from: "  challenge:\n          $ref: '#/components/schemas/ChallengeData'",
        to: "  challenge:\n          $ref: other.yaml#/ChallengeData # here",
        words: &["refers to nothing in this document"],
    },
    Mistake {
        from: "            schema:\n              $ref: '#/components/schemas/ChallengeVerification'",
        to: "            schema: # here\n              type: object",
        words: &["must be a `$ref`"],
    },
    Mistake {
        from: "        - beaconKey: []\n",
        to: "        - beaconkey: [] # here\n",
        words: &["beaconkey", "securitySchemes"],
    },
    Mistake {
        from: "      in: header\n      name: X-Esper-Key\n",
        to: "      in: query # here\n      name: X-Esper-Key\n",
        words: &["beaconKey > in", "must be `header`"],
    },
    Mistake {
        from: "      name: X-Esper-Key\n",
        to: "      name: X Esper Key # here\n",
        words: &["beaconKey > name", "not the name of a header"],
    },
    Mistake {
        from: "      scheme: bearer\n",
        to: "      scheme: basic # here\n",
        words: &["must be `bearer`"],
    },
    Mistake {
        from: "    x-esper-server: api\n",
        to: "    x-esper-server: The API # here\n",
        words: &["x-esper-server", "one word"],
    },
    Mistake {
        from: "          format: uri\n          pattern:",
        to: "          format: hostname # here\n          pattern:",
        words: &["return_url > format", "without a check"],
    },
    Mistake {
        from: "          pattern: ^https?://\n",
        to: "          pattern: ^https:// # here\n",
        words: &["return_url > pattern", "without a check"],
    },
    Mistake {
        from: "          minLength: 1\n          pattern: \\S\n",
        to: "          maxItems: 1 # here\n          pattern: \\S\n",
        words: &["type > maxItems", "without a check"],
    },
    Mistake {
        from: "          description: What happened; `http_request` for a request that the application answered.\n          type: string\n",
        to: "          description: What happened.\n          type: text # here\n",
        words: &["BeaconEvent > properties > type > type", "no type of OpenAPI 3.0", "`string`"],
    },
    Mistake {
        from: "          schema:\n            type: string\n            format: uuid\n",
        to: "          schema:\n            type: [string, 'null'] # here\n",
        words: &["schema > type", "no type of OpenAPI 3.0"],
    },
    Mistake {
        from: "        - name: Idempotency-Key\n          in: header\n",
        to: "        - name: Idempotency-Key\n          in: cookie # here\n",
        words: &["parameters > 0 > in", "must be `path`, `query` or `header`"],
    },
    Mistake {
        from: "        score:\n          description:",
        to: "        reason_: # here\n          description: Why.\n          type: string\n        score:\n          description:",
        words: &["MitigationResponse > properties > reason_", "same name in Rust as `reason`"],
    },
    Mistake {
        from: "        session_id:\n          description: The app",
        to: "        path_: # here\n          description: Where.\n          type: string\n        session_id:\n          description: The app",
        words: &["BeaconEvent > properties > path_", "same name in Rust as `path`"],
    },
    Mistake {
        from: "    UsageStats:\n",
        to: "    usage_stats: # here\n      type: object\n      properties:\n        a:\n          type: string\n    UsageStats:\n",
        words: &["schemas > usage_stats", "same name in Rust as `UsageStats`"],
    },
    Mistake {
        from: "        - allow\n",
        to: "        - &allow allow\n        - *allow # here\n",
        words: &["aliases are not read", "`$ref`"],
    },
    Mistake {
        from: "    VerificationResult:\n      description: The outcome of a verification.\n",
        to: "    VerificationResult: # here\n      description: 7\n",
        words: &["VerificationResult", "expected a string"],
    },
    Mistake {
        from: "      required:\n        - proof\n        - ip\n",
        to: "      required:\n        - proof\n        - address # here\n",
        words: &["is not among the properties"],
    },
    Mistake {
        from: "        session_id:\n          description: The app",
        to: "        session-id: # here\n          description: The app",
        words: &["session-id"],
    },
    Mistake {
        from: "        return_url:\n          description: |\n",
        to: "        return_url:\n          description: | # here\n            ```json\n            {}\n            ```\n\n            ```\n            a: b\n            ```\n",
        words: &["return_url > description", "code without a language"],
    },
    Mistake {
        from: "    unit: attempts\n",
        to: "    unit: tries # here\n",
        words: &["max_retries > unit", "`milliseconds` or `attempts`"],
    },
    Mistake {
        from: "    default: 10000\n",
        to: "    default: -1 # here\n",
        words: &["attempt_timeout > default", "whole number"],
    },
    Mistake {
        from: "  timeout:\n    description",
        to: "  time out: # here\n    description",
        words: &["time out"],
    },
    Mistake {
        from: "tags:\n  - name: decisions\n",
        to: "--- # here\ntags:\n  - name: decisions\n",
        words: &["exactly one YAML document"],
    },
    Mistake {
        from: "  - name: decisions\n",
        to: "  - name: !!str decisions # here\n",
        words: &["tags are not read"],
    },
    Mistake {
        from: "info:\n  title: Esper\n",
        to: "info:\n  true: Esper # here\n  title: Esper\n",
        words: &["a key must be a string"],
    },
    Mistake {
        from: "servers:\n  - url: https://api.esperr.com\n",
        to: "servers:\n  - url: https://{region}.esperr.com # here\n",
        words: &["servers > 0 > url", "without variables"],
    },
    Mistake {
        from: "servers:\n  - url: https://api.esperr.com\n",
        to: "servers:\n  - url: /api # here\n",
        words: &["servers > 0 > url", "must be an http or https URL"],
    },
    Mistake {
        from: "servers:\n  - url: https://api.esperr.com\n",
        to: "servers: # here\n  - url: https://other.example\n    x-esper-server: other\n  - url: https://api.esperr.com\n",
        words: &["exactly one server"],
    },
    Mistake {
        from: "      - url: https://beacon.esperr.com\n        description: Telemetry, apart from the decisions so that neither can slow the other.\n        x-esper-server: beacon\n",
        to: "      - url: https://beacon.esperr.com # here\n        description: Telemetry.\n        x-esper-server: api\n",
        words: &["server `api` has another url"],
    },
    Mistake {
        from: "security:\n  - bearerKey: []\n",
        to: "security: # here\n  - bearerKey: []\n  - beaconKey: []\n",
        words: &["exactly one alternative"],
    },
    Mistake {
        from: "security:\n  - bearerKey: []\n",
        to: "security:\n  - bearerKey: [] # here\n    beaconKey: []\n",
        words: &["exactly one security scheme"],
    },
    Mistake {
        from: "      type: http\n",
        to: "      type: oauth2 # here\n",
        words: &["bearerKey > type", "`http` or `apiKey`"],
    },
    Mistake {
        from: "      responses:\n        '200':\n          description: The counts.",
        to: "      responses: # here\n        0200:\n          description: The counts.",
        words: &["exactly one success"],
    },
    Mistake {
        from: "          additionalProperties:\n            type: string\n",
        to: "          additionalProperties:\n            type: string\n            maxLength: 9 # here\n",
        words: &["headers > additionalProperties > maxLength", "within a member"],
    },
    Mistake {
        from: "        return_url:\n          description:",
        to: "        devices: # here\n          type: array\n          items:\n            type: object\n        return_url:\n          description:",
        words: &["MitigationRequest > properties > devices", "any JSON further within"],
    },
    Mistake {
        from: LAST_OF_THE_PROOF,
        to: "          type: string\n        device: # here\n          $ref: '#/components/schemas/Device'\n    Device:\n      type: object\n      properties:\n        parent:\n          $ref: '#/components/schemas/Device'\n        facts:\n          oneOf:\n            - type: string\n            - type: object\n    VerificationResult:\n",
        words: &["ChallengeProof > properties > device", "any JSON further within"],
    },
    Mistake {
        from: LAST_OF_THE_PROOF,
        to: "          allOf:\n            - type: string\n              maxLength: 9 # here\n    VerificationResult:\n",
        words: &["user_agent > allOf > 0 > maxLength", "within a member"],
    },
    Mistake {
        from: LAST_OF_THE_PROOF,
        to: "          $ref: '#/components/schemas/First'\n    First:\n      $ref: '#/components/schemas/Second'\n    Second:\n      type: string\n      maxItems: 9 # here\n    VerificationResult:\n",
        words: &["schemas > Second > maxItems", "without a check"],
    },
    Mistake {
        from: LAST_OF_THE_PROOF,
        to: "          $ref: '#/components/schemas/First'\n    First:\n      $ref: '#/components/schemas/Second' # here\n    Second:\n      $ref: '#/components/schemas/First'\n    VerificationResult:\n",
        words: &["leads back to itself"],
    },
    Mistake {
        from: "      description: The proof with which a visitor came back from a managed challenge.\n",
        to: "      description: The proof.\n      allOf: # here\n        - type: object\n",
        words: &["ChallengeProof > allOf", "lists its members"],
    },
    Mistake {
        from: "    ChallengeVerification:\n      description: A visitor's answer to a challenge.\n      type: object\n      required:\n        - token\n        - response\n      properties:\n        token:\n",
        to: "    ChallengeVerification: # here\n      description: A visitor's answer to a challenge.\n      type: string\n      enum:\n        - yes\n    Other:\n      type: object\n      properties:\n        token:\n",
        words: &["ChallengeVerification", "must be an object"],
    },
    Mistake {
        from: "    UsageStats:\n      description: What a key has used in a period, in decisions.\n      type: object\n      required:\n        - requests\n        - blocked\n        - challenged\n        - allowed\n        - period\n      properties:\n",
        to: "    UsageStatsPlan: # here\n      type: object\n      properties:\n        a:\n          type: string\n    UsageStats:\n      type: object\n      properties:\n        plan:\n          type: object\n          properties:\n            b:\n              type: string\n",
        words: &["UsageStatsPlan", "as a schema within another"],
    },
    Mistake {
        from: "        return_url:\n          description: |\n",
        to: "        return_url:\n          description: | # here\n            ~~~\n            a: b\n            ~~~\n\n",
        words: &["return_url > description", "code without a language"],
    },
    Mistake {
        from: "        return_url:\n          description: |\n",
        to: "        return_url:\n          description: | # here\n            Such as:\n\n                a: b\n\n",
        words: &["return_url > description", "code without a language"],
    },
    Mistake {
        from: "openapi: 3.0.3\n",
        to: "openapi: 3.1.0 # here\n",
        words: &["openapi", "a version of OpenAPI 3.0"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n",
        to: "  /v1/usage:\n    options: # here\n",
        words: &["/v1/usage > options", "none of `get`"],
    },
    Mistake {
        from: "  /v1/usage:\n",
        to: "  /v1/usage:\n    security: # here\n      - beaconKey: []\n",
        words: &["/v1/usage > security", "would be left out"],
    },
    Mistake {
        from: "operationId: get_usage\n",
        to: "operationId: post # here\n",
        words: &["a method that every client has"],
    },
    Mistake {
        from: "      name: X-Esper-Key\n",
        to: "      name: Cookie # here\n",
        words: &["beaconKey > name", "a key needs one of its own"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n      operationId: get_usage\n",
        to: "  /v1/usage:\n    get:\n      operationId: get_usage\n      parameters:\n        - name: id # here\n          in: path\n          required: true\n          schema:\n            type: string\n",
        words: &["parameters > 0 > name", "is not in the path"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n      operationId: get_usage\n",
        to: "  /v1/usage/{id}:\n    get: # here\n      operationId: get_usage\n",
        words: &["has no parameter `id`"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n      operationId: get_usage\n",
        to: "  /v1/usage/{id}:\n    get:\n      operationId: get_usage\n      parameters:\n        - name: id # here\n          in: path\n          schema:\n            type: string\n",
        words: &["required: true"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n      operationId: get_usage\n",
        to: "  /v1/usage:\n    get:\n      operationId: get_usage\n      parameters:\n        - name: key\n          in: query\n          schema:\n            type: string\n        - name: key # here\n          in: header\n          schema:\n            type: string\n",
        words: &["parameters > 1 > name", "only one would be sent"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n      operationId: get_usage\n",
        to: "  /v1/usage:\n    get: # here\n      operationId: get_usage\n      parameters:\n        - name: keyId\n          in: query\n          schema:\n            type: string\n        - name: key_id\n          in: query\n          schema:\n            type: string\n",
        words: &["same name in Rust, `key_id`"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n      operationId: get_usage\n",
        to: "  /v1/usage:\n    get:\n      operationId: get_usage\n      parameters:\n        - name: ids\n          in: query\n          explode: false # here\n          schema:\n            type: array\n            items:\n              type: string\n",
        words: &["parameters > 0 > explode", "must be `true`"],
    },
    Mistake {
        from: "  /v1/usage:\n    get:\n      operationId: get_usage\n",
        to: "  /v1/usage:\n    get:\n      operationId: get_usage\n      parameters:\n        - name: X-Ids\n          in: header\n          schema: # here\n            type: array\n            items:\n              type: string\n",
        words: &["parameters > 0 > schema", "one plain value"],
    },
    Mistake {
        from: "        - name: Idempotency-Key\n",
        to: "        - name: X-Esper-Key # here\n",
        words: &["parameters > 0 > name", "sent without a parameter"],
    },
    Mistake {
        from: "        - name: Idempotency-Key\n",
        to: "        - name: Idempotency Key # here\n",
        words: &["parameters > 0 > name", "not the name of a header"],
    },
    Mistake {
        from: "      description: Something that happened at the application.\n",
        to: "      description: Something that happened.\n      maxProperties: 9 # here\n",
        words: &["BeaconEvent > maxProperties", "which nothing checks"],
    },
    Mistake {
        from: "      description: Something that happened at the application.\n",
        to: "      description: Something that happened.\n      additionalProperties: # here\n        type: string\n",
        words: &["BeaconEvent > additionalProperties", "neither setter nor check"],
    },
    Mistake {
        from: "          minLength: 1\n          pattern: \\S\n",
        to: "          minLength: 1 # here\n          enum: [a, b]\n",
        words: &["type > minLength", "`enum` lists"],
    },
    Mistake {
        from: "          minLength: 1\n          pattern: \\S\n",
        to: "          minimum: 1 # here\n",
        words: &["type > minimum", "type: integer` or `number`"],
    },
    Mistake {
        from: "    unit: attempts\n    default: 3\n",
        to: "    unit: attempts\n    default: 4294967296 # here\n",
        words: &["max_retries > default", "must be below 4294967296"],
    },
];

/// The end of the last member of `ChallengeProof`, and what follows it.
const LAST_OF_THE_PROOF: &str = "          description: The visitor's `User-Agent` header.\n          type: string\n          example: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\n\n    VerificationResult:\n";
