//! W3C Trace Context: a valid `traceparent` is continued, any other replaced (Trace Context, 2.2 and 4.3).
//!
//! The gateway adds no span of its own, so a continued header is passed on unchanged: a span that nobody exports
//! would break the trace in two.

use http::header::HeaderName;
use sekisho_codec::message::Headers;

use super::hexadecimal;

pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Version, trace, parent and flags, with the dashes between them.
const LENGTH: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;
const PARENT_ID: std::ops::Range<usize> = 36..52;

/// A trace identifier: 32 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    pub fn as_str(&self) -> &str {
        // Only hexadecimal digits get in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes sure that the request carries a trace, and returns which.
pub fn apply(headers: &mut Headers) -> TraceId {
    if let Some(trace) = continued(headers) {
        return trace;
    }
    // State belongs to the trace that could not be read.
    headers.remove(&TRACESTATE);
    let (value, trace) = generate();
    headers.set_unique(&TRACEPARENT, &value);
    trace
}

fn continued(headers: &Headers) -> Option<TraceId> {
    headers.only_value(&TRACEPARENT).and_then(parse)
}

fn parse(value: &[u8]) -> Option<TraceId> {
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let is_hex = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let dashes = [2, 35, 52].iter().all(|position| known[*position] == b'-');
    let version = &known[..2];
    let fields = [version, &known[TRACE_ID], &known[PARENT_ID], &known[53..]];
    // Later versions may append fields; this one may not.
    let ends_well =
        if version == b"00" { rest.is_empty() } else { version != b"ff" && matches!(rest.first(), None | Some(b'-')) };
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == b'0');
    let good =
        dashes && ends_well && fields.iter().all(|field| is_hex(field)) && !is_zero(fields[1]) && !is_zero(fields[2]);
    good.then(|| known[TRACE_ID].try_into().ok().map(TraceId)).flatten()
}

/// A new trace, marked as sampled: the decision that OpenTelemetry's default sampler would take at a root.
fn generate() -> ([u8; LENGTH], TraceId) {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    let trace = TraceId(hexadecimal(&fastrand::u128(1..).to_be_bytes()));
    let parent: [u8; 16] = hexadecimal(&fastrand::u64(1..).to_be_bytes());
    text[TRACE_ID].copy_from_slice(&trace.0);
    text[PARENT_ID].copy_from_slice(&parent);
    (text, trace)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn given(values: &[&str]) -> Headers {
        let mut headers = Headers::default();
        values
            .iter()
            .for_each(|value| headers.append(TRACEPARENT.clone(), HeaderValue::from_str(value).expect("valid")));
        headers.append(TRACESTATE.clone(), HeaderValue::from_static("vendor=1"));
        headers
    }

    #[test]
    fn a_valid_trace_is_continued_unchanged() {
        for value in [
            GOOD,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later",
        ] {
            let mut headers = given(&[value]);
            let trace = apply(&mut headers);
            assert_eq!(trace.as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(headers.get(&TRACEPARENT).expect("kept"), value);
            assert!(headers.contains(&TRACESTATE));
        }
    }

    #[test]
    fn anything_else_starts_a_new_trace() {
        for values in [
            vec![],
            vec![GOOD, GOOD],
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"],
            vec!["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more"],
            vec!["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            vec!["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            vec!["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
            vec!["00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            vec![""],
        ] {
            let mut headers = given(&values);
            let trace = apply(&mut headers);
            let sent: Vec<_> = headers.get_all(&TRACEPARENT).collect();
            assert_eq!(sent.len(), 1, "{values:?}");
            assert_eq!(parse(sent[0].as_bytes()), Some(trace), "{values:?}");
            assert_ne!(trace.as_str(), "4bf92f3577b34da6a3ce929d0e0e4736", "{values:?}");
            assert!(!headers.contains(&TRACESTATE), "{values:?}");
        }
    }
}
