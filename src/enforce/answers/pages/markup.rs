//! Pages made of templates, in which a value stays in its place.

use std::borrow::Cow;

/// Trusted HTML, which is inserted unescaped.
#[derive(Debug)]
pub(super) struct Markup(Cow<'static, str>);

/// What is put in a template's place.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// Anything. It is escaped for where it may stand: in a text, or in a quoted attribute.
    Text(&'a str),
    /// Put as it is.
    Markup(&'a Markup),
}

impl Markup {
    /// From a template of this crate.
    pub(super) const fn from_static(html: &'static str) -> Self {
        Self(Cow::Borrowed(html))
    }

    pub(super) fn into_string(self) -> String {
        self.0.into_owned()
    }
}

/// Puts values in the place of `{{name}}`.
///
/// A value is not looked at again, so that none can bring a place of its own.
pub(super) fn fill(template: &'static str, values: &[(&str, Value<'_>)]) -> Markup {
    let mut filled = String::with_capacity(template.len() + ROOM);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        filled.push_str(before);
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, Value::Text(text))) => escape(text, &mut filled),
            Some((_, Value::Markup(markup))) => filled.push_str(&markup.0),
            None => debug_assert!(false, "nothing for {name}"),
        }
        rest = after;
    }
    filled.push_str(rest);
    Markup(filled.into())
}

/// Values stand in texts and in double-quoted attributes alone, never in a script or a style, so
/// that this is the only escape there is.
fn escape(text: &str, escaped: &mut String) {
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '`' => escaped.push_str("&#96;"),
            // As it is, it would be read as a line feed.
            '\r' => escaped.push_str("&#13;"),
            other => escaped.push(other),
        }
    }
}

/// For the values, in bytes.
const ROOM: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_place() {
        let value = ("it", Value::Text("\"><script>'`&\r"));
        let it = "&quot;&gt;&lt;script&gt;&#39;&#96;&amp;&#13;";
        let filled = fill("<a title=\"{{it}}\">{{it}}</a>", &[value]);
        assert_eq!(filled.into_string(), format!("<a title=\"{it}\">{it}</a>"));
    }

    #[test]
    fn a_value_brings_no_place_of_its_own() {
        let values = [("a", Value::Text("{{b}}")), ("b", Value::Text("secret"))];
        assert_eq!(fill("{{a}} and {{b}}", &values).into_string(), "{{b}} and secret");
    }
}
