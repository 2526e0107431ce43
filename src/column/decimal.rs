//! Exact decimal numbers: read from text or from unscaled bytes, written at a column's scale.

use super::Fault;
use super::wide::Wide;

/// Beyond this a scale or exponent is no number that a database holds: PostgreSQL's numeric ends at 16,383 digits.
const MOST_SCALE: i64 = 16_383;
/// So many digits always fit 64 bits.
const QUICK_DIGITS: usize = 18;

/// `unscaled / 10^scale`; the scale may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    unscaled: Wide,
    scale: i64,
}

impl Decimal {
    /// Big-endian two's complement bytes.
    pub(crate) fn from_bytes(bytes: &[u8], scale: i64) -> Result<Decimal, Fault> {
        if scale.abs() > MOST_SCALE {
            return Err(Fault::Malformed);
        }
        let unscaled = Wide::from_big_endian(bytes).ok_or(Fault::OutOfRange)?;
        Ok(Decimal { unscaled, scale })
    }

    /// A plain number of few digits, at the column's scale; nothing where that needs [`Decimal::parse`].
    #[inline]
    pub(crate) fn quick(text: &[u8], precision: u8, scale: u8) -> Option<i64> {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        if digits.is_empty() || digits.len() > QUICK_DIGITS || precision as usize > QUICK_DIGITS {
            return None;
        }
        let (mut value, mut after_point) = (0_i64, None);
        for byte in digits {
            match byte {
                b'0'..=b'9' => {
                    value = value * 10 + i64::from(byte - b'0');
                    after_point = after_point.map(|count| count + 1);
                }
                b'.' if after_point.is_none() => after_point = Some(0_u8),
                _ => return None,
            }
        }
        if digits.first() == Some(&b'.') || after_point == Some(0) {
            return None;
        }
        let missing = scale.checked_sub(after_point.unwrap_or(0))?;
        let value = value.checked_mul(10_i64.checked_pow(u32::from(missing))?)?;
        let fits = value < 10_i64.checked_pow(u32::from(precision))?;
        fits.then_some(if negative { -value } else { value })
    }

    /// `-12.50`, `1e-3`: sign, digits, fraction and exponent. Leading and trailing zeros do not count as digits.
    pub(crate) fn parse(text: &[u8]) -> Result<Decimal, Fault> {
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let exponent_at = rest.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match exponent_at.and_then(|at| rest.split_at_checked(at)) {
            None => (rest, 0),
            Some((mantissa, exponent)) => (mantissa, self::exponent(exponent)?),
        };
        let point = mantissa.iter().position(|byte| *byte == b'.');
        let (whole, fraction) = match point.and_then(|at| mantissa.split_at_checked(at)) {
            None => (mantissa, &[][..]),
            Some((whole, fraction)) => (whole, fraction.get(1..).unwrap_or_default()),
        };
        let all_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return Err(Fault::Malformed);
        }
        if whole.len() + fraction.len() <= QUICK_DIGITS {
            let digits = whole.iter().chain(fraction);
            let value = digits.fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
            return Ok(Decimal {
                unscaled: Wide::from_i128(if negative { -value } else { value }),
                scale: fraction.len() as i64 - exponent,
            });
        }
        // trailing zeros carry no value, and leaving them out lets 76 digits with any padding through
        let digits = || whole.iter().chain(fraction);
        let padding = digits().rev().take_while(|digit| **digit == b'0').count();
        let mut unscaled = Wide::ZERO;
        for digit in digits().take(whole.len() + fraction.len() - padding) {
            unscaled = unscaled
                .times(10, u64::from(digit - b'0'))
                .ok_or(Fault::OutOfRange)?;
        }
        unscaled.negative = negative && !unscaled.is_zero();
        Ok(Decimal {
            unscaled,
            scale: fraction.len() as i64 - exponent - padding as i64,
        })
    }

    /// Little-endian value at the column's scale, or why the column cannot hold it.
    pub(crate) fn at(self, precision: u8, scale: u8) -> Result<[u8; 32], Fault> {
        let mut value = self.unscaled;
        if value.is_zero() {
            return Ok([0; 32]);
        }
        let mut shift = i64::from(scale) - self.scale;
        while shift < 0 {
            let (quotient, rest) = value.over(10);
            if rest != 0 {
                return Err(Fault::PrecisionLoss);
            }
            value = quotient;
            shift += 1;
        }
        // a value that is not 0 outgrows 256 bits after 77 steps, so this ends early whatever the scale
        while shift > 0 {
            value = value.times(10, 0).ok_or(Fault::OutOfRange)?;
            shift -= 1;
        }
        if !fits(value, precision) {
            return Err(Fault::OutOfRange);
        }
        Ok(value.to_little_endian())
    }

    /// As a whole number of so many bytes, its two's complement in 64 bits.
    pub(crate) fn whole(self, width: u8, signed: bool) -> Result<u64, Fault> {
        /// digits of the largest number of 64 bits
        const MOST_DIGITS: u8 = 20;
        let bytes = self.at(MOST_DIGITS, 0)?;
        let value = i128::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default());
        let bits = 8 * u32::from(width);
        let range = match signed {
            true => -(1 << (bits - 1))..1 << (bits - 1),
            false => 0..1_i128 << bits,
        };
        match range.contains(&value) {
            true => Ok(value as u64),
            false => Err(Fault::OutOfRange),
        }
    }

    /// Plain notation with every digit of the scale, as PostgreSQL shows it.
    pub(crate) fn show(self) -> String {
        let mut digits = self.unscaled.digits();
        match usize::try_from(self.scale) {
            Ok(scale) => {
                let missing = (scale + 1).saturating_sub(digits.len());
                digits.splice(0..0, std::iter::repeat_n(b'0', missing));
                if scale > 0 {
                    digits.insert(digits.len() - scale, b'.');
                }
            }
            Err(_) if digits.is_empty() => digits.push(b'0'),
            Err(_) => digits.extend(std::iter::repeat_n(
                b'0',
                self.scale.unsigned_abs() as usize,
            )),
        }
        if self.unscaled.negative {
            digits.insert(0, b'-');
        }
        String::from_utf8_lossy(&digits).into_owned()
    }
}

fn exponent(text: &[u8]) -> Result<i64, Fault> {
    let text = text
        .get(1..)
        .and_then(|text| std::str::from_utf8(text).ok());
    let value: i64 = text
        .and_then(|text| text.parse().ok())
        .ok_or(Fault::Malformed)?;
    if value.abs() > MOST_SCALE {
        return Err(Fault::OutOfRange);
    }
    Ok(value)
}

/// Whether the magnitude has at most `precision` digits.
fn fits(value: Wide, precision: u8) -> bool {
    /// the largest power of ten in 64 bits
    const STEP: (u8, u64) = (19, 10_000_000_000_000_000_000);
    let mut left = value;
    let mut digits = precision;
    while digits >= STEP.0 {
        left = left.over(STEP.1).0;
        digits -= STEP.0;
    }
    left.over(10_u64.pow(u32::from(digits))).0.is_zero()
}
