//! Recognise the crawlers of search engines and AI companies that name themselves.
//!
//! A name is no proof, anybody can send it. It is reported and changes no decision.

/// The known crawler that a user agent names first.
pub(crate) fn crawler(user_agent: &str) -> Option<&'static str> {
    user_agent
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .find_map(|token| CRAWLERS.iter().find(|name| name.eq_ignore_ascii_case(token)))
        .copied()
}

/// The name under which a crawler is reported.
pub(crate) const CRAWLER_POLICY: &str = "known_crawler";

const CRAWLERS: [&str; 24] = [
    "AhrefsBot",
    "Amazonbot",
    "Applebot",
    "Baiduspider",
    "bingbot",
    "Bytespider",
    "CCBot",
    "ChatGPT-User",
    "Claude-SearchBot",
    "Claude-User",
    "ClaudeBot",
    "DuckAssistBot",
    "DuckDuckBot",
    "facebookexternalhit",
    "Google-Extended",
    "Googlebot",
    "GPTBot",
    "Meta-ExternalAgent",
    "MistralAI-User",
    "OAI-SearchBot",
    "Perplexity-User",
    "PerplexityBot",
    "SemrushBot",
    "YandexBot",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crawler_is_known_by_its_token_in_any_case() {
        for (user_agent, expected) in [
            ("Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "GPTBot"),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot",
            ),
            ("meta-externalagent/1.1", "Meta-ExternalAgent"),
            ("CCBOT", "CCBot"),
        ] {
            assert_eq!(crawler(user_agent), Some(expected), "{user_agent}");
        }
    }

    #[test]
    fn a_browser_or_a_longer_name_is_no_crawler() {
        for user_agent in [
            "",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "NotGPTBot/1.0",
            "GPTBot-imitation/1.0",
            "GPT Bot",
        ] {
            assert_eq!(crawler(user_agent), None, "{user_agent}");
        }
    }
}
