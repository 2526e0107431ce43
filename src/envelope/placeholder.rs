//! The value that Debezium sends for a TOASTed column which the change did not touch: the source did not log it.

/// Its spellings by column type, as they stand in the message. A source configured with another
/// `unavailable.value.placeholder` must send full images (REPLICA IDENTITY FULL).
const SPELLINGS: [&[u8]; 9] = [
    // text, json, numeric; bytea in hex mode
    b"\"__debezium_unavailable_value\"",
    // bytea
    b"\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"",
    b"\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ\"",
    // text[], varchar[], json[], jsonb[]
    b"[\"__debezium_unavailable_value\"]",
    // bytea[]
    b"[\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"]",
    // int[], bigint[], date[]: the text's bytes
    b"[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]",
    // uuid[]: the name UUID of the text
    b"[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]",
    // hstore as a map and as JSON text
    b"{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}",
    b"\"{\\\"__debezium_unavailable_value\\\":\\\"__debezium_unavailable_value\\\"}\"",
];
const SHORTEST: usize = SPELLINGS[0].len();

/// Whether a value's own text is a placeholder. On `r` the same text is data that somebody typed; on
/// `c` it may be either, as Debezium makes a change of key a delete and a create, so it is no value there.
#[inline]
pub(super) fn is_placeholder(raw: &[u8]) -> bool {
    raw.len() >= SHORTEST && SPELLINGS.contains(&raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_of_the_same_text() {
        use base64::Engine;
        let text = "__debezium_unavailable_value";
        let base64 = base64::engine::general_purpose::STANDARD.encode(text);
        let codes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
        for spelling in [
            format!("\"{text}\""),
            format!("\"{base64}\""),
            format!("[\"{text}\"]"),
            format!("[{}]", codes.join(",")),
            format!("{{\"{text}\":\"{text}\"}}"),
        ] {
            assert!(is_placeholder(spelling.as_bytes()), "{spelling}");
        }
        assert!(SPELLINGS.iter().all(|spelling| spelling.len() >= SHORTEST));
        assert!(!is_placeholder(b"\"__debezium_unavailable_valuf\""));
    }
}
