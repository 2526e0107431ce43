//! Bytes that are no text, no whole message, or too many.

use super::*;

/// ClickHouse's strings hold any bytes, so NUL is kept as it is; half of a surrogate pair is no character.
#[test]
fn text_keeps_every_character_and_takes_nothing_that_is_none() {
    let job = orders();
    let fate = |name: &str| {
        let value = format!(r#"{{"after":{{"id":1,"name":"{name}"}},"op":"c"}}"#);
        told(&job, KEY, Some(&value))
    };
    for (name, kept) in [
        (r"\u0000", r"\u0000"),
        (r"a\u0000b", r"a\u0000b"),
        (r"\ud83d\ude00", "😀"),
        (r"\uFFFF\ufeff", "\u{ffff}\u{feff}"),
        (r"\u0022\u005c\/\b", r#"\"\\/\b"#),
    ] {
        assert_eq!(
            fate(name),
            format!(r#"row: {{"id":1,"name":"{kept}"}}"#),
            "{name}"
        );
    }
    for name in [
        r"\ud800",
        r"\ud800x",
        r"\ud800\ud800",
        r"\udc00",
        r"\ud83d\n",
    ] {
        assert_eq!(fate(name), "reject: bad_utf8 name", "{name}");
    }
    for name in [r"\u00", r"\uzzzz", r"\x41", r"\"] {
        assert!(fate(name).starts_with("reject: bad_json"), "{name}");
    }
    let mut decoder = Decoder::new(&job);
    let mut rows = Rows::new(&job);
    for bytes in [
        &b"\xff"[..],
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"caf\xe9",
    ] {
        let value = [br#"{"after":{"id":1,"name":""#, bytes, br#""},"op":"c"}"#].concat();
        let fate = decoder.decode(&message(1, None, Some(&value)), &mut rows);
        assert_eq!(tell(&fate, &rows), "reject: bad_utf8", "{bytes:?}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = "[".repeat(100_000);
    for value in [
        format!(r#"{{"before":{deep}"#),
        format!(r#"{{"after":{{"id":1,"name":{deep}"#),
        format!(r#"{{"schema":{deep}"#),
    ] {
        let fate = told(&orders(), KEY, Some(&value));
        assert!(fate.starts_with("reject: "), "{fate}");
    }
    assert_eq!(
        told(&orders(), KEY, Some(&format!(r#"{{"before":{deep}"#))),
        "reject: too_deep"
    );
    let large = " ".repeat(LARGEST_MESSAGE + 1);
    assert_eq!(told(&orders(), KEY, Some(&large)), "reject: too_large");
}

#[test]
fn bytes_that_are_no_text_and_every_cut_of_a_message_leave_no_trace() {
    let job = orders();
    let (mut decoder, mut rows) = (Decoder::new(&job), Rows::new(&job));
    let whole = r#"{"schema":{"type":"struct","fields":[]},"payload":{"before":null,"after":{"id":1,"name":"caf\u00e9 é"},"source":{"lsn":5},"op":"u"}}"#;
    for end in 1..whole.len() {
        let cut = &whole.as_bytes()[..end];
        let mut damaged = whole.as_bytes().to_vec();
        damaged[end] ^= 0x80;
        for bytes in [cut, &damaged] {
            let fate = decoder.decode(&message(1, KEY.map(str::as_bytes), Some(bytes)), &mut rows);
            assert!(matches!(fate, Fate::Reject(_)), "{end}: {fate:?}");
            assert_eq!(rows.len(), 0);
        }
    }
    let fate = decoder.decode(
        &message(1, KEY.map(str::as_bytes), Some(whole.as_bytes())),
        &mut rows,
    );
    assert_eq!(tell(&fate, &rows), r#"row: {"id":1,"name":"café é"}"#);
}
