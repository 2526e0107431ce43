//! Whole numbers of 256 bits: enough for 76 digits.

/// Sign and magnitude; `limbs[0]` is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide {
    pub(crate) negative: bool,
    limbs: [u64; 4],
}

impl Wide {
    pub(crate) const ZERO: Wide = Wide {
        negative: false,
        limbs: [0; 4],
    };

    pub(crate) fn from_i128(value: i128) -> Wide {
        let magnitude = value.unsigned_abs();
        Wide {
            negative: value < 0,
            limbs: [magnitude as u64, (magnitude >> 64) as u64, 0, 0],
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.limbs == [0; 4]
    }

    /// Big-endian two's complement, as Java's `BigInteger.toByteArray` writes it; no bytes are 0.
    pub(crate) fn from_big_endian(bytes: &[u8]) -> Option<Wide> {
        let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        let filler = if negative { 0xff } else { 0 };
        let kept = match bytes.len().checked_sub(32) {
            None => bytes,
            Some(surplus) => {
                let (surplus, kept) = bytes.split_at(surplus);
                let signed = kept
                    .first()
                    .is_some_and(|first| (first & 0x80 != 0) == negative);
                if !signed || surplus.iter().any(|byte| *byte != filler) {
                    return None;
                }
                kept
            }
        };
        let mut full = [filler; 32];
        for (to, from) in full.iter_mut().rev().zip(kept.iter().rev()) {
            *to = *from;
        }
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().rev().zip(full.as_chunks::<8>().0) {
            *limb = u64::from_be_bytes(*chunk);
        }
        Some(if negative {
            Wide {
                negative,
                limbs: negate(limbs),
            }
        } else {
            Wide { negative, limbs }
        })
    }

    /// Little-endian two's complement, as ClickHouse keeps decimals.
    pub(crate) fn to_little_endian(self) -> [u8; 32] {
        let limbs = if self.negative {
            negate(self.limbs)
        } else {
            self.limbs
        };
        let mut bytes = [0; 32];
        for (to, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(limbs) {
            *to = limb.to_le_bytes();
        }
        bytes
    }

    /// `self * by + add`, or nothing where 256 bits do not hold it.
    pub(crate) fn times(mut self, by: u64, add: u64) -> Option<Wide> {
        let mut carry = u128::from(add);
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(by) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
        (carry == 0).then_some(self)
    }

    /// Quotient and remainder of the magnitude; `by` is not 0.
    pub(crate) fn over(mut self, by: u64) -> (Wide, u64) {
        let mut rest = 0_u128;
        for limb in self.limbs.iter_mut().rev() {
            let part = rest << 64 | u128::from(*limb);
            *limb = (part / u128::from(by)) as u64;
            rest = part % u128::from(by);
        }
        (self, rest as u64)
    }

    /// Decimal digits of the magnitude, without leading zeros; `0` has none.
    pub(crate) fn digits(self) -> Vec<u8> {
        let mut digits = Vec::new();
        let mut left = self;
        while !left.is_zero() {
            let (quotient, digit) = left.over(10);
            digits.push(b'0' + digit as u8);
            left = quotient;
        }
        digits.reverse();
        digits
    }
}

fn negate(limbs: [u64; 4]) -> [u64; 4] {
    let mut carry = true;
    limbs.map(|limb| {
        let (value, over) = (!limb).overflowing_add(u64::from(carry));
        carry = over;
        value
    })
}
