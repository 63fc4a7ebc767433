//! Show a text that came with traffic: bounded, and with nothing in it that hides.

/// The beginning of a text, in at most `most` characters and a mark that there is more.
///
/// What has no shape of its own (control characters, those that turn the direction of writing, that
/// take no room or stack on others) is written out: `\u{202e}`.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let mut excerpt = String::with_capacity(text.len().min(most));
    let mut left = most;
    for character in text.chars() {
        let shown = character.escape_debug();
        let plain = matches!(character, '"' | '\'' | '\\');
        let width = if plain { 1 } else { shown.len() };
        if width > left {
            excerpt.push('…');
            break;
        }
        left -= width;
        if plain { excerpt.push(character) } else { excerpt.extend(shown) }
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_seen_stays_as_it_is() {
        for text in ["", "Mozilla/5.0 (X11; Linux)", "\"<it's>\" \\", "café 東京 שלום 🙂"]
        {
            assert_eq!(excerpt(text, 100), text);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        for hidden in [
            '\0',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{300}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
            '\u{10ffff}',
        ] {
            let shown = excerpt(&format!("a{hidden}b"), 100);
            assert!(shown.starts_with("a\\") && shown.ends_with('b'), "{shown}");
            assert!(shown.is_ascii(), "{shown}");
        }
        assert_eq!(excerpt("a\r\n\tb", 100), "a\\r\\n\\tb");
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(excerpt("ééé", 3), "ééé");
        assert_eq!(excerpt("éééé", 3), "ééé…");
        assert_eq!(excerpt(&"\u{202e}".repeat(1 << 20), 20), "\\u{202e}\\u{202e}…");
    }
}
