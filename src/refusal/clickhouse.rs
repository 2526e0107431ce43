//! ClickHouse's exceptions.
//!
//! ```text
//! Code: 6. DB::Exception: Cannot parse string 'secret' as Int32: while executing 'FUNCTION CAST(…) -> …'. (CANNOT_PARSE_TEXT) (version …)
//!                         sentence                              place                                     name
//! ```

use super::statement::{is_type, without_literals, without_numbers};
use super::{LEFT_OUT, without_quoted};

/// What the sentence of a code may hold, from what each says in ClickHouse 26.7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    /// names of columns, tables, functions, types, settings; sizes and limits; the user's own words
    Names,
    /// not known: what is in quotes, or is a number, is left out
    Either,
    /// a value, with or without quotes: all of it is left out
    Values,
}

const fn holds(code: u32) -> Holds {
    match code {
        // what cannot be parsed, converted or held by a type, and rows that break a constraint
        6 | 25..=28 | 32 | 33 | 38 | 41 | 53 | 69 | 70 | 72 | 117 | 130 | 131 | 248 | 321 | 346 | 376 | 407 | 427 | 441
        | 467 | 469 | 490 | 563 | 585 | 621 | 632 | 675 | 676 | 691 | 718 | 748 | 760 => Holds::Values,
        // no such thing, or it is there already
        8 | 10 | 15 | 16 | 46 | 47 | 50 | 56 | 57 | 60 | 63 | 73 | 81 | 82 | 115 | 218 | 232 | 257 | 336 | 456 | 701
        // what a statement may not say: its syntax, its types, its aggregates
        | 7 | 20 | 34 | 35 | 42..=44 | 48 | 51 | 52 | 59 | 62 | 80 | 119 | 121..=123 | 125 | 153 | 181..=184 | 206
        | 207 | 215 | 258 | 344 | 352 | 377 | 378 | 386 | 403 | 450 | 455 | 524 | 549 | 583
        // a message that the statement itself holds
        | 395
        // limits, rights, and what a server says of itself
        | 107 | 158..=162 | 164 | 192..=195 | 201..=204 | 209 | 210 | 216 | 219 | 225 | 236 | 241..=243 | 252 | 279 | 285
        | 286 | 291 | 306 | 307 | 319 | 341 | 359 | 373 | 392..=394 | 396 | 425 | 439 | 452 | 471..=473 | 497 | 511
        | 516 | 517 | 692 | 724 | 745 | 999 => Holds::Names,
        _ => Holds::Either,
    }
}

/// Where the sentence ends and the statement or the expression begins.
const PLACES: [&str; 5] = [
    ": while executing ",
    " In scope ",
    " in scope ",
    ". In query ",
    ": (in query: ",
];
const CONVERTING: &str = ": while converting source column ";
const SUGGESTION: &str = ". Maybe you meant: [";

/// Bytes that are worth showing: of a statement or an expression, and of a sentence, which a stack trace may follow.
const LONGEST_PLACE: usize = 600;
const LONGEST_SENTENCE: usize = 1_000;

/// The exception as its code, its sentence, its place and its name, without values. A text that is no exception passes.
pub fn clickhouse(text: &str) -> String {
    let Some((code, body)) = code_and_body(text) else {
        return shortened(text, LONGEST_SENTENCE);
    };
    let (said, name) = split_name(body);
    // one that passes another one on
    let inner = said.split("Code: ").skip(1).filter_map(number);
    let most = inner.map(holds).fold(holds(code), Ord::max);
    let (sentence, place) = split_place(said, most);
    let sentence = match most {
        Holds::Names => shortened(sentence, LONGEST_SENTENCE),
        Holds::Either => {
            let quoted = without_quoted(&without_quoted(sentence, '"'), '\'');
            shortened(&without_numbers(&quoted), LONGEST_SENTENCE)
        }
        Holds::Values => what_is_no_value(sentence),
    };
    let front = text.strip_suffix(body).unwrap_or_default();
    format!("{front}{sentence}{}{name}", told_place(place))
}

/// The exception's code, and what stands behind `Exception: `.
fn code_and_body(text: &str) -> Option<(u32, &str)> {
    let (_, rest) = text.split_once("Code: ")?;
    let (_, body) = rest.split_once("Exception: ")?;
    Some((number(rest)?, body))
}

fn number(text: &str) -> Option<u32> {
    let end = text.find(|character: char| !character.is_ascii_digit());
    text.get(..end.unwrap_or(text.len()))?.parse().ok()
}

/// `. (CANNOT_PARSE_TEXT) (version 26.7)` off the end.
fn split_name(body: &str) -> (&str, &str) {
    let is_name = |rest: &str| {
        let name = rest.split_once(')').map_or("", |(name, _)| name);
        let of_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        name.len() > 2 && name.bytes().all(of_name)
    };
    let found = body
        .rmatch_indices(". (")
        .map(|(at, _)| at)
        .find(|at| body.get(at + 3..).is_some_and(is_name));
    body.split_at(found.unwrap_or(body.len()))
}

/// A value may hold the words that end a sentence, so that the last ones count; a statement may hold them, too, so that for a
/// sentence without values the first ones do.
fn split_place(said: &str, holds: Holds) -> (&str, &str) {
    let places = PLACES.into_iter();
    let found = match holds {
        Holds::Names => places.filter_map(|place| said.find(place)).min(),
        Holds::Either | Holds::Values => places.filter_map(|place| said.rfind(place)).max(),
    };
    let at = found.unwrap_or(said.len());
    let colon = said.get(..at).is_some_and(|before| before.ends_with(':'));
    said.split_at(at - usize::from(colon))
}

/// Of a sentence that holds a value: the type that it was to become, the column that it was written to, the constraint that
/// it breaks.
fn what_is_no_value(sentence: &str) -> String {
    if let Some((constraint, _)) = sentence.split_once(" is violated")
        && constraint.starts_with("Constraint `")
    {
        return format!("{constraint} is violated");
    }
    let (sentence, column) = match sentence.rfind(CONVERTING) {
        Some(at) => sentence.split_at(at),
        None => (sentence, ""),
    };
    let is_of_names = |character: char| character.is_alphanumeric() || "_. :".contains(character);
    let column = Some(column).filter(|column| column.chars().all(is_of_names));
    let wanted = [" as ", " into type ", " for type "].map(|word| {
        let at = sentence.rfind(word)?;
        let rest = sentence.get(at + word.len()..)?;
        let end = rest.find([':', '.']).unwrap_or(rest.len());
        let wanted = rest.get(..end).filter(|text| is_type(text))?;
        Some(format!("{word}{wanted}"))
    });
    let wanted = wanted.into_iter().flatten().next();
    [
        LEFT_OUT,
        &wanted.unwrap_or_default(),
        column.unwrap_or_default(),
    ]
    .concat()
}

/// A statement or an expression without its literals; nothing of one whose literals cannot be told.
fn told_place(place: &str) -> String {
    let (place, suggestion) = match place.rfind(SUGGESTION) {
        Some(at) => place.split_at(at),
        None => (place, ""),
    };
    let told = match executed(place) {
        Some(expression) => without_literals(expression).map(|told| format!("{}{told}", PLACES[0])),
        None => without_literals(place),
    };
    let told = told.map(|told| shortened(&told, LONGEST_PLACE));
    told.unwrap_or_default() + suggestion
}

/// `CAST(x) Int32` of `: while executing 'FUNCTION CAST(x :: 1) -> CAST(x) Int32 : 0'`.
fn executed(place: &str) -> Option<&str> {
    let plan = place.strip_prefix(PLACES[0])?.strip_prefix('\'')?;
    let (_, result) = plan.split_once(" -> ")?;
    let ends = |at: &usize| {
        let rest = result.get(at + 3..).unwrap_or_default();
        rest.trim_start_matches(|character: char| character.is_ascii_digit())
            .starts_with('\'')
    };
    let end = result.match_indices(" : ").map(|(at, _)| at).find(ends);
    result.get(..end?)
}

fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned() + LEFT_OUT
}

#[cfg(test)]
mod tests;
