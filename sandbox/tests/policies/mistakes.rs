//! Each mistake in a policy file is told with its place and what was expected.

use std::fmt::Write as _;

use esper_sandbox::check_policies;

/// The text of a file with one entity and, from line 2 on, what is given.
fn file(rest: &str) -> String {
    format!("entity = [{{ name = \"e\", key = [\"client_ip\"] }}]\n{rest}")
}

/// A file with a policy whose further members, from line 4 on, are given.
fn policy(rest: &str) -> String {
    file(&format!("[[policy]]\nname = \"p\"\n{rest}"))
}

/// A file with a policy that has a condition, in line 4.
fn condition(table: &str) -> String {
    policy(&format!("match = {table}\nentity = \"e\"\n{BLOCK}"))
}

const BLOCK: &str = r#"mitigation = { action = "block", ttl_seconds = 60 }"#;

#[test]
fn a_mistake_is_told_with_its_line_and_what_was_expected() {
    let fields = "expected type, client_ip, user_agent, session_id, method, path, headers.NAME, \
                  data.NAME or metadata.NAME";
    let tests = "expected one of equals, contains, starts_with, glob, regex, in, word_in, \
                 network_in or present";
    for (text, expected) in [
        // What TOML itself says.
        ("[[policy]\n".to_owned(), "1:10: unclosed array table, expected `]`"),
        (file("name = [\n"), "2:9: unclosed array, expected `]`"),
        (file("entity = 7"), "2:1: duplicate key"),
        // Members and their types.
        (file("polices = []"), "2:1: unknown member `polices`, expected `entity` or `policy`"),
        (
            policy(&format!("entity = \"e\"\nwindw = 1\n{BLOCK}")),
            "5:1: unknown member `windw`, expected one of `name`, `on`, `match`, `entity`, \
             `window`, `mitigation`",
        ),
        (file("[[policy]]\nname = 7"), "3:8: invalid type: integer `7`, expected a string"),
        (policy("entity = \"e\""), "2:1: missing member `mitigation`"),
        (
            policy("mitigation = \"block\""),
            "4:14: invalid type: string \"block\", expected a table with action",
        ),
        (
            policy("mitigation = { action = \"deny\" }"),
            "4:25: unknown variant `deny`, expected one of `monitor`, `challenge`, `block`",
        ),
        (
            policy(&format!("window = {{ seconds = \"10\", over = 1 }}\n{BLOCK}")),
            "4:22: invalid type: string \"10\", expected a whole number",
        ),
        (
            policy(&format!("on = \"answers\"\n{BLOCK}")),
            "4:6: unknown variant `answers`, expected `events` or `requests`",
        ),
        // Names and references.
        (
            file("[[policy]]\nname = \"a b\"\nentity = \"e\"\nmitigation = { action = \"block\" }"),
            "3:8: bad name, expected 1 to 64 letters, digits and the characters `_`, `-` and `.`",
        ),
        (
            policy(&format!(
                "entity = \"e\"\n{BLOCK}\n[[policy]]\nname = \"p\"\nentity = \"e\"\n{BLOCK}"
            )),
            "7:8: policy \"p\" is there twice",
        ),
        (
            "entity = [\n{ name = \"e\", key = [\"path\"] },\n{ name = \"e\", key = [\"path\"] }]"
                .to_owned(),
            "3:10: entity \"e\" is defined twice",
        ),
        (
            policy(&format!("entity = \"f\"\n{BLOCK}")),
            "4:10: unknown entity \"f\", expected one of e",
        ),
        (policy(BLOCK), "3:8: policy \"p\" needs an entity, expected one of e"),
        // Entities.
        (
            "[[entity]]\nname = \"e\"\nkey = []".to_owned(),
            "3:7: an entity needs a key, expected at least one field",
        ),
        (
            "[[entity]]\nname = \"e\"\nkey = [\"path\", \"path\"]".to_owned(),
            "3:16: path is there twice",
        ),
        (
            "[[entity]]\nname = \"e\"\nkey = [\"type\"]".to_owned(),
            "3:8: a request has no type, so that it would never be of this entity",
        ),
        (
            "[[entity]]\nname = \"e\"\nkey = [\"ip\"]".to_owned(),
            &format!("3:8: unknown field \"ip\", {fields}"),
        ),
        (
            "[[entity]]\nname = \"e\"\nkey = [\"client_ip\"]\n\
             match = { any = [{ field = \"path\", equals = \"/\" }, { field = \"type\", equals = \"x\" }] }"
                .to_owned(),
            "4:62: a request has no type; the match of a policy on events can test it",
        ),
        // Windows.
        (
            policy(&format!("entity = \"e\"\nwindow = {{ seconds = 0, over = 1 }}\n{BLOCK}")),
            "5:22: 0 seconds, expected 1 to 86400",
        ),
        (
            policy(&format!("entity = \"e\"\nwindow = {{ seconds = -5, over = 1 }}\n{BLOCK}")),
            "5:22: -5 seconds, expected 1 to 86400",
        ),
        (
            policy(&format!("entity = \"e\"\nwindow = {{ seconds = 5, over = 0 }}\n{BLOCK}")),
            "5:32: over is 0, expected 1 to 10000",
        ),
        (
            policy(&format!("entity = \"e\"\nwindow = {{ seconds = 5, over = 10001 }}\n{BLOCK}")),
            "5:32: over is 10001, expected 1 to 10000",
        ),
        (
            policy(&format!(
                "entity = \"e\"\nwindow = {{ seconds = 5, over = 1, distinct = \"user\" }}\n{BLOCK}"
            )),
            &format!("5:46: unknown field \"user\", {fields}"),
        ),
        // Mitigations.
        (
            policy("entity = \"e\"\nmitigation = { action = \"block\" }"),
            "5:14: a mitigation needs its time to live, expected ttl_seconds",
        ),
        (
            policy("entity = \"e\"\nmitigation = { action = \"block\", ttl_seconds = 0 }"),
            "5:48: 0 seconds, expected 1 to 86400",
        ),
        (
            policy(
                "entity = \"e\"\nmitigation = { action = \"challenge\", ttl_seconds = 1, difficulty = 33 }",
            ),
            "5:68: difficulty is 33, expected 0 to 32 leading zero bits",
        ),
        (
            policy(
                "entity = \"e\"\nmitigation = { action = \"block\", ttl_seconds = 1, difficulty = 3 }",
            ),
            "5:64: difficulty belongs to a challenge; leave it out",
        ),
        (
            policy(
                "entity = \"e\"\nmitigation = { action = \"challenge\", ttl_seconds = 1, difficulty = 3, site_key = \"x\" }",
            ),
            "5:82: a challenge is a proof of work with a difficulty, or of Turnstile with a \
             site_key; leave out one of them",
        ),
        (
            policy(
                "entity = \"e\"\nmitigation = { action = \"challenge\", ttl_seconds = 1, site_key = \"\" }",
            ),
            "5:66: bad site_key, expected 1 to 256 bytes",
        ),
        // Policies on requests.
        (
            policy("on = \"requests\"\nmitigation = { action = \"block\" }"),
            "5:25: a policy on requests can only monitor: a mitigation is applied after analysis, \
             never before it; expected \"monitor\", or on = \"events\"",
        ),
        (
            policy("on = \"requests\"\nentity = \"e\"\nmitigation = { action = \"monitor\" }"),
            "5:10: a policy on requests has no entity; leave it out",
        ),
        (
            policy(
                "on = \"requests\"\nwindow = { seconds = 1, over = 1 }\nmitigation = { action = \"monitor\" }",
            ),
            "5:10: a policy on requests has no window; leave it out",
        ),
        (
            policy("on = \"requests\"\nmitigation = { action = \"monitor\", ttl_seconds = 1 }"),
            "5:50: a policy on requests has no ttl_seconds; leave it out",
        ),
        (
            policy(
                "on = \"requests\"\nmatch = { field = \"type\", equals = \"x\" }\nmitigation = { action = \"monitor\" }",
            ),
            "5:19: a request has no type; the match of a policy on events can test it",
        ),
        // Conditions.
        (
            condition("{}"),
            "4:9: a condition is one thing, expected all, any, not, or a field with a test",
        ),
        (
            condition("{ equals = \"x\" }"),
            "4:9: a condition is one thing, expected all, any, not, or a field with a test",
        ),
        (
            condition("{ all = [], any = [] }"),
            "4:9: a condition is one thing, expected all, any, not, or a field with a test",
        ),
        (
            condition("{ all = [{ field = \"path\", equals = \"/\" }], equals = \"/\" }"),
            "4:9: a condition is one thing, expected all, any, not, or a field with a test",
        ),
        (
            condition("{ any = [{ field = \"path\", equals = \"/\" }], equals = \"/\" }"),
            "4:9: a condition is one thing, expected all, any, not, or a field with a test",
        ),
        (
            condition("{ not = { field = \"path\", equals = \"/\" }, equals = \"/\" }"),
            "4:9: a condition is one thing, expected all, any, not, or a field with a test",
        ),
        (condition("{ all = [] }"), "4:17: an empty list, expected at least one condition"),
        (condition("{ field = \"path\" }"), &format!("4:19: 0 tests of path, {tests}")),
        (
            condition("{ field = \"path\", equals = \"/\", glob = \"/\" }"),
            &format!("4:19: 2 tests of path, {tests}"),
        ),
        (
            condition("{ field = \"ip\", equals = \"::1\" }"),
            &format!("4:19: unknown field \"ip\", {fields}"),
        ),
        (
            condition("{ field = \"path\", in = [] }"),
            "4:32: an empty list, expected at least one text",
        ),
        (
            condition("{ field = \"path\", contains = \"\" }"),
            "4:38: must not be empty: an empty string always matches",
        ),
        (condition("{ field = \"path\", regex = \"a(\" }"), "4:35: bad regex: unclosed group"),
        (
            condition(r#"{ field = "path", regex = '\w{9999}' }"#),
            "4:35: this pattern takes more than 256 KiB; make it smaller",
        ),
        (
            condition("{ field = \"client_ip\", network_in = [\"10.0.0.0/33\"] }"),
            "4:46: \"10.0.0.0/33\" is no network, expected one such as 203.0.113.0/24",
        ),
        (
            condition("{ field = \"path\", network_in = [\"10.0.0.0/8\"] }"),
            "4:40: path is no address, so that this never holds",
        ),
        (
            condition("{ field = \"client_ip\", equals = \"10.0.0.0/8\" }"),
            "4:41: \"10.0.0.0/8\" is no IP address, expected one such as 203.0.113.7; networks go \
             into network_in",
        ),
        (
            condition("{ field = \"user_agent\", word_in = [\"a b\"] }"),
            "4:44: \"a b\" is no word, expected letters, digits, `-` and `_`",
        ),
        (
            condition("{ not = { field = \"path\", present = 1 } }"),
            "4:45: invalid type: integer `1`, expected a boolean",
        ),
    ] {
        let error = check_policies(&text).expect_err(&text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn a_policy_that_could_never_apply_is_refused() {
    let after = |name: &str| {
        format!(
            "comes after {name:?}, which takes all events that it would apply to; put it before"
        )
    };
    let table = |name: &str, rest: &str| {
        format!("[[policy]]\nname = \"{name}\"\nentity = \"e\"\n{BLOCK}\n{rest}\n")
    };
    let path = r#"match = { field = "path", equals = "/" }"#;
    let window =
        |seconds: u32, over: u32| format!("window = {{ seconds = {seconds}, over = {over} }}");
    for (earlier, later, refused) in [
        (String::new(), path.to_owned(), true),
        (path.to_owned(), path.to_owned(), true),
        (path.to_owned(), format!("{path}\n{}", window(10, 5)), true),
        (path.to_owned(), window(10, 5), false),
        (window(10, 60), window(10, 200), true),
        (window(10, 60), window(5, 60), true),
        (window(10, 200), window(10, 60), false),
        (window(10, 60), window(60, 200), false),
        (window(10, 60), path.to_owned(), false),
        (window(10, 60), format!("{path}\n{}", window(10, 60)), true),
    ] {
        let text = file(&format!("{}{}", table("one", &earlier), table("other", &later)));
        let result = check_policies(&text).map_err(|error| error.message().to_owned());
        assert_eq!(result, if refused { Err(after("one")) } else { Ok(()) }, "{text}");
        // Whoever passes a challenge is counted anew, but for challenges alone.
        let challenge = table("one", &earlier).replace("block", "challenge");
        let refused = refused && !earlier.contains("window");
        let text = file(&format!("{challenge}{}", table("other", &later)));
        let result = check_policies(&text).map_err(|error| error.message().to_owned());
        assert_eq!(result, if refused { Err(after("one")) } else { Ok(()) }, "{text}");
    }
}

#[test]
fn what_a_file_may_take_is_bounded() {
    let policies = |count| {
        (0..count).fold(file(""), |mut text, number| {
            let _ = writeln!(text, "[[policy]]\nname = \"p{number}\"\nentity = \"e\"");
            let _ =
                writeln!(text, "match = {{ field = \"path\", equals = \"{number}\" }}\n{BLOCK}");
            text
        })
    };
    let entities = |count| {
        (0..count).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "[[entity]]\nname = \"e{number}\"\nkey = [\"client_ip\"]");
            text
        })
    };
    let several = |test: &str, count| condition(&format!("{{ any = [{}] }}", test.repeat(count)));
    let name = |length| {
        policy(&format!("entity = \"e\"\n{BLOCK}"))
            .replace("\"p\"", &format!("{:?}", "x".repeat(length)))
    };
    let site_key = |length| {
        let key = "x".repeat(length);
        policy(&format!(
            "entity = \"e\"\nmitigation = {{ action = \"challenge\", ttl_seconds = 1, site_key = \"{key}\" }}"
        ))
    };
    let conditions = |count: usize| several("{ field = \"path\", equals = \"x\" },", count - 1);
    let patterns = |count| several("{ field = \"path\", glob = \"x\" },", count);
    let bytes = |count| " ".repeat(count);
    let check = |text: &dyn Fn(usize) -> String, most, expected: &str| {
        check_policies(&text(most)).expect(expected);
        let error = check_policies(&text(most + 1)).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&policies, 100, "503:8: a file has 100 policies at most");
    check(&entities, 20, "62:8: a file has 20 entities at most");
    check(&conditions, 1000, "a file has 1000 conditions at most");
    check(&patterns, 100, "a file has 100 globs and regexes at most");
    check(&name, 64, "3:8: bad name, expected 1 to 64 letters");
    check(&site_key, 256, "5:66: bad site_key, expected 1 to 256 bytes");
    check(&bytes, 256 * 1024, "1:1: a policy file has 262144 bytes at most");
    check_policies(&name(0)).expect_err("a name");
    let deep = format!(
        "{}{{ field = \"path\", equals = \"\" }}{}",
        "{ not = ".repeat(200),
        " }".repeat(200)
    );
    let error = check_policies(&condition(&deep)).expect_err("too deep").to_string();
    assert!(error.contains("cannot recurse further"), "{error}");
}

#[test]
fn a_condition_is_as_deep_as_toml_reads_it_whatever_stack_the_caller_has() {
    let nested = |levels| {
        condition(&format!(
            "{}{{ field = \"path\", equals = \"/\" }}{}",
            "{ not = ".repeat(levels),
            " }".repeat(levels)
        ))
    };
    let check = move || {
        check_policies(&nested(70)).unwrap();
        let error = check_policies(&nested(1_000)).unwrap_err();
        assert_eq!(error.line(), 4, "{error}");
    };
    let small = std::thread::Builder::new().stack_size(128 * 1024);
    small.spawn(check).unwrap().join().unwrap();
}
