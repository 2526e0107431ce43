use super::*;
use crate::archive::Chunk;

fn kept(offset: i64, value: Option<&str>, headers: &[(&str, Option<&str>)]) -> Kept {
    let bytes = |text: &str| text.as_bytes().to_vec();
    Kept {
        partition: 3,
        offset,
        key: (offset % 2 == 0).then(|| bytes("key")),
        value: value.map(bytes),
        timestamp: (offset != 7).then_some(1_700_000_000_000 + offset),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(bytes)))
            .collect(),
    }
}

fn chunk(messages: &[Kept]) -> Chunk {
    let mut chunk = Chunk::default();
    for message in messages {
        chunk.push(&message.message());
    }
    chunk
}

fn all(bytes: Bytes) -> Vec<Vec<Kept>> {
    let mut rows = Rows::open(bytes, 3).unwrap();
    std::iter::from_fn(|| rows.next().unwrap()).collect()
}

#[test]
fn messages_come_back_as_they_were_in_groups_as_they_were_appended() {
    let first = [
        kept(5, Some("a"), &[]),
        kept(6, None, &[("h", Some("1"))]),
        kept(
            7,
            Some(""),
            &[("h", None), ("h", Some("")), ("ü", Some("3"))],
        ),
        kept(9, Some("\0\u{fffd}"), &[]),
    ];
    let second = [kept(12, None, &[]), kept(13, None, &[("last", None)])];
    let mut file = File::begin().unwrap();
    file.append(chunk(&first)).unwrap();
    file.append(chunk(&second)).unwrap();
    assert_eq!(all(file.end().unwrap()), [first.to_vec(), second.to_vec()]);
}

#[test]
fn a_file_of_no_messages_is_one_too() {
    let file = File::begin().unwrap();
    assert_eq!(all(file.end().unwrap()), Vec::<Vec<Kept>>::new());
}

#[test]
fn a_million_bytes_of_json_become_a_tenth() {
    let text =
        r#"{"before":null,"after":{"id":1,"note":"some text that repeats itself"},"op":"c"}"#;
    let messages: Vec<Kept> = (0..12_000).map(|at| kept(at, Some(text), &[])).collect();
    let mut file = File::begin().unwrap();
    file.append(chunk(&messages)).unwrap();
    let bytes = file.end().unwrap();
    assert!(bytes.len() < 100_000, "{}", bytes.len());
    assert_eq!(all(bytes).concat(), messages);
}

#[test]
fn what_is_no_parquet_is_an_error_and_no_panic() {
    for bytes in [&b""[..], b"PAR1", b"not parquet at all", &[0; 64]] {
        assert!(Rows::open(Bytes::from_static(bytes), 0).is_err());
    }
    let mut file = File::begin().unwrap();
    file.append(chunk(&[kept(1, Some("a"), &[])])).unwrap();
    let whole = file.end().unwrap();
    assert!(Rows::open(whole.slice(..whole.len() - 1), 0).is_err());
}
