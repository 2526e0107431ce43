//! What ClickHouse 26.7 said to statements that fail on the value `secret`, or on a name.

use super::clickhouse;

fn told(text: &str) -> String {
    let text = format!("Code: {text} (version 26.7.2.1 (libchdb))");
    let told = clickhouse(&text);
    let told = told.strip_prefix("Code: ").unwrap();
    let told = told.strip_suffix(" (version 26.7.2.1 (libchdb))").unwrap();
    told.to_owned()
}

#[test]
fn what_cannot_be_parsed_is_told_by_its_type_and_its_place() {
    let said = "6. DB::Exception: Cannot parse string 'secret' as Int32: syntax error at begin of string. Note: there are \
        toInt32OrZero and toInt32OrNull functions, which returns zero/NULL instead of throwing exception: while executing \
        'FUNCTION CAST(__table1.note :: 2, 'Int32'_String :: 1) -> CAST(__table1.note, 'Int32'_String) Int32 : 0'. \
        (CANNOT_PARSE_TEXT)";
    assert_eq!(
        told(said),
        "6. DB::Exception: … as Int32: while executing CAST(__table1.note, 'Int32'_String) Int32. (CANNOT_PARSE_TEXT)"
    );
    let said = "6. DB::Exception: Cannot parse string 'secret' as Int32: syntax error at begin of string: In scope \
        SELECT CAST((SELECT note FROM m.t WHERE key = 'secret' AND id = 17), 'Int32'). (CANNOT_PARSE_TEXT)";
    assert_eq!(
        told(said),
        "6. DB::Exception: … as Int32: In scope SELECT CAST((SELECT note FROM m.t WHERE key = '…' AND id = …), 'Int32'). \
         (CANNOT_PARSE_TEXT)"
    );
}

#[test]
fn no_value_is_told_with_or_without_quotes() {
    for said in [
        "376. DB::Exception: Cannot parse uuid secret: Cannot parse UUID from String: while executing 'FUNCTION \
         toUUID(__table1.note :: 1) -> toUUID(__table1.note) UUID : 0'. (CANNOT_PARSE_UUID)",
        "117. DB::Exception: Cannot parse JSON object here: {\"a\":secret: while executing 'FUNCTION \
         CAST(concat('{\"a\":'_String, __table1.note) :: 0, 'JSON'_String :: 2) -> CAST(concat('{\"a\":'_String, __table1.note), \
         'JSON'_String) JSON : 3'. (INCORRECT_DATA)",
        "27. DB::Exception: Cannot parse input: expected '\"' before: 'secret\"}': (while reading the value of key id): (at row \
         1)\n: While executing JSONEachRowRowInputFormat. (CANNOT_PARSE_INPUT_ASSERTION_FAILED)",
        "427. DB::Exception: OptimizedRegularExpression: cannot compile re2: (secret, error: missing ): (secret. Look at \
         https://github.com/google/re2/wiki/Syntax for reference. (CANNOT_COMPILE_REGEXP)",
        "467. DB::Exception: Cannot parse boolean value here: 'secret', should be 'true' or 'false'. (CANNOT_PARSE_BOOL)",
        "53. DB::Exception: Cannot convert string 'secret' to type Int64: while executing function equals on arguments \
         __table1.id Int64 Int64(size = 0), 'secret'_String String Const(size = 0, String(size = 1)). (TYPE_MISMATCH)",
        "36. DB::Exception: Unexpected value 'it's secret' here, aren't you: In scope SELECT f('secret'). (BAD_ARGUMENTS)",
        // a value that looks like the rest of the sentence
        "6. DB::Exception: Cannot parse string 'x: In scope secret: while executing secret' as Int8: while executing 'FUNCTION \
         toInt8(a :: 1) -> toInt8(a) Int8 : 0'. (CANNOT_PARSE_TEXT)",
        "341. DB::Exception: Exception happened during execution of mutation 'm.txt' with part 'all_1': Code: 6. \
         DB::Exception: Cannot parse string 'secret' as Int32. (UNFINISHED)",
    ] {
        assert!(!told(said).contains("secret"), "{}", told(said));
    }
}

#[test]
fn where_a_value_was_to_go_is_told() {
    let said = "691. DB::Exception: Unknown element 'secret' for enum: while converting source column note to destination \
        column e: while executing 'FUNCTION _CAST(note :: 3, Enum8('a' = 1) :: 5) -> _CAST(note, Enum8('a' = 1)) Enum8('a' = \
        1) : 6'. (UNKNOWN_ELEMENT_OF_ENUM)";
    let enum8 = "Enum8('…' = …)";
    assert_eq!(
        told(said),
        format!(
            "691. DB::Exception: …: while converting source column note to destination column e: while executing \
             _CAST(note, {enum8}) {enum8}. (UNKNOWN_ELEMENT_OF_ENUM)"
        )
    );
    let said = "469. DB::Exception: Constraint `c` for table m.t (be88) is violated at row 1. Expression: (id < 5). Column \
        values: id = 99. (VIOLATED_CONSTRAINT)";
    assert_eq!(
        told(said),
        "469. DB::Exception: Constraint `c` for table m.t (be88) is violated. (VIOLATED_CONSTRAINT)"
    );
    let said = "70. DB::Exception: Value in column Int64 cannot be safely converted into type UInt8: while executing \
        'FUNCTION accurateCast(multiply(__table1.id, 300_UInt16) :: 0) -> accurateCast(multiply(__table1.id, 300_UInt16)) \
        UInt8 : 1'. (CANNOT_CONVERT_TYPE)";
    assert_eq!(
        told(said),
        "70. DB::Exception: … into type UInt8: while executing accurateCast(multiply(__table1.id, …_UInt16)) UInt8. \
         (CANNOT_CONVERT_TYPE)"
    );
}

#[test]
fn names_stay_and_so_do_suggestions() {
    let whole = [
        "60. DB::Exception: Unknown table expression identifier 'm.tt' in scope SELECT id FROM m.tt. (UNKNOWN_TABLE)",
        "46. DB::Exception: Function with name `sumx` does not exist. In scope SELECT sumx(id) FROM m.t. Maybe you meant: \
         ['sum']. (UNKNOWN_FUNCTION)",
        "62. DB::Exception: Syntax error: failed at position 15 (m): m.t WHERE note='lit'. (SYNTAX_ERROR)",
        "241. DB::Exception: Memory limit (total) exceeded: would use 1.04 GiB (attempt to allocate chunk of 4 MiB). \
         (MEMORY_LIMIT_EXCEEDED)",
        "395. DB::Exception: my own message. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)",
        "497. DB::Exception: u: Not enough privileges. To execute this query, it's necessary to have the grant SELECT(id) ON \
         m.t. (ACCESS_DENIED)",
    ];
    for said in whole {
        assert_eq!(told(said), said);
    }
    let said = "47. DB::Exception: Unknown expression identifier `nope` in scope SELECT nope FROM m.t WHERE (note = 'secret') \
        AND (id IN (17, 18)). Maybe you meant: ['note']. (UNKNOWN_IDENTIFIER)";
    assert_eq!(
        told(said),
        "47. DB::Exception: Unknown expression identifier `nope` in scope SELECT nope FROM m.t WHERE (note = '…') AND (id IN \
         (…, …)). Maybe you meant: ['note']. (UNKNOWN_IDENTIFIER)"
    );
}

#[test]
fn a_long_statement_is_cut_and_another_servers_page_is_not_taken_apart() {
    let keys = "'secret', ".repeat(10_000);
    let said = format!(
        "47. DB::Exception: Unknown identifier `x` in scope SELECT x IN ({keys}). (UNKNOWN_IDENTIFIER)"
    );
    assert!(told(&said).len() < 1_000);
    assert_eq!(clickhouse("502 Bad Gateway"), "502 Bad Gateway");
}
