//! What an input says, and what can be known of it without asking the client.

/// An answer, and how it is given.
pub(super) struct Script<'a> {
    /// Which call is made, from 0 to 4.
    pub(super) call: u8,
    /// How many bytes are sent at once.
    pub(super) piece: usize,
    /// Whether the connection stays open after the last byte.
    pub(super) holds: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) known: Known<'a>,
}

/// What is known of an answer, and so of what the client must make of it.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    /// Nothing; it need not even be HTTP.
    Nothing,
    /// It is a whole 200 of type JSON with this body.
    Body(&'a [u8]),
    /// It is a whole answer with this final status, which asks for this wait, if it is known.
    Head { status: u16, retry_after: Option<u64> },
}

impl<'a> Script<'a> {
    /// Reads any input at all.
    ///
    /// The forms, by the first digit:
    /// 0. raw: the bytes of the answer;
    /// 1. a body: of a 200 of type JSON, with its length;
    /// 2. a body: the same, with each of its lines as a chunk;
    /// 3. a head: a line with the status, lines of headers, an empty line and a body.
    pub(super) fn read(input: &'a [u8]) -> Self {
        let (&[form, call, cut], rest) = input.split_first_chunk().unwrap_or((b"000", &[]));
        let (bytes, known) = match digit(form) % 4 {
            0 => (rest.to_vec(), Known::Nothing),
            1 => (with_length(JSON_HEAD, rest), Known::Body(rest)),
            2 => (in_chunks(rest), Known::Body(rest)),
            _ => with_head(rest),
        };
        let cut = usize::from(digit(cut) % 10);
        let piece = PIECES.get(cut).copied().unwrap_or(usize::MAX);
        Self { call: digit(call) % 5, piece, holds: cut == 9, bytes, known }
    }
}

fn digit(byte: u8) -> u8 {
    byte.wrapping_sub(b'0')
}

fn with_length(head: &[u8], body: &[u8]) -> Vec<u8> {
    [head, format!("content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut bytes = [JSON_HEAD, b"transfer-encoding: chunked\r\n\r\n"].concat();
    for chunk in body.split_inclusive(|byte| *byte == b'\n') {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend([chunk, b"\r\n"].concat());
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

fn with_head(text: &[u8]) -> (Vec<u8>, Known<'_>) {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut read = 0;
    let mut next = || lines.next().inspect(|line| read += line.len() + 1);
    let status = next().and_then(|line| std::str::from_utf8(line).ok()?.parse().ok());
    let status = status.filter(|status| (100..1000).contains(status)).unwrap_or(200);

    let mut head = format!("HTTP/1.1 {status} Fuzzed\r\n").into_bytes();
    let (mut judged, mut waits) = (status >= 200, Vec::new());
    for _ in 0..MOST_HEADERS {
        let Some(line) = next().filter(|line| !line.is_empty()) else { break };
        let Some((name, value)) = header(line) else { continue };
        // What frames the body decides what the rest means.
        judged &= !FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing));
        if name.eq_ignore_ascii_case(b"retry-after") {
            waits.push(value);
        }
        head.extend([name, b": ", value, b"\r\n"].concat());
    }
    let body = text.get(read..).unwrap_or_default();
    if !judged {
        return ([&head, b"\r\n".as_slice(), body].concat(), Known::Nothing);
    }
    let retry_after = match waits[..] {
        [wait] => seconds(wait),
        _ => None,
    };
    (with_length(&head, body), Known::Head { status, retry_after })
}

/// A header that every parser takes, or nothing.
fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let text = |byte: &u8| *byte >= b' ' && *byte != 0x7f;
    (!name.is_empty() && name.iter().all(token) && value.iter().all(text)).then_some((name, value))
}

fn seconds(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

const JSON_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const FRAMING: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"connection", b"upgrade"];
/// Fewer than the client's parser takes, so that it takes all of them.
const MOST_HEADERS: usize = 64;
/// How many bytes are sent at once, by the third digit; all of them, beyond these.
const PIECES: [usize; 8] = [usize::MAX, 1, 2, 3, 7, 16, 64, 512];
