//! CRC-32, as zlib, PNG and Ethernet compute it (polynomial 0x04C11DB7, reflected, from and to all
//! ones).
//!
//! It notices every changed bit, and every run of up to 32 changed bits. Nearly every language's
//! standard library has it, so another program can read an envelope. It is no protection against
//! an attacker.

/// The checksum of these bytes, one part behind the other.
pub(super) fn crc32(parts: [&[u8]; 2]) -> u32 {
    !parts.into_iter().fold(!0, update)
}

/// Takes eight bytes in one step: with steps of one byte, each would have to wait for the one
/// before.
fn update(crc: u32, bytes: &[u8]) -> u32 {
    let (steps, rest) = bytes.as_chunks::<8>();
    let crc = steps.iter().fold(crc, |crc, &[a, b, c, d, e, f, g, h]| {
        let [w, x, y, z] = crc.to_le_bytes();
        let first = at(7, a ^ w) ^ at(6, b ^ x) ^ at(5, c ^ y) ^ at(4, d ^ z);
        first ^ at(3, e) ^ at(2, f) ^ at(1, g) ^ at(0, h)
    });
    rest.iter().fold(crc, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        at(0, byte ^ low) ^ (crc >> 8)
    })
}

/// The remainder of `byte` with this many zero bytes behind it.
#[inline(always)]
fn at(zeros: usize, byte: u8) -> u32 {
    let table = TABLES.get(zeros);
    table.and_then(|table| table.get(usize::from(byte))).copied().unwrap_or_default()
}

static TABLES: [[u32; 256]; 8] = tables();

#[allow(clippy::indexing_slicing, reason = "it runs while this is compiled, and never after")]
const fn tables() -> [[u32; 256]; 8] {
    const POLYNOMIAL: u32 = 0x04C1_1DB7_u32.reverse_bits();
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut zeros = 0;
        while zeros < 8 {
            let mut bit = 0;
            while bit < 8 {
                let carry = crc & 1 != 0;
                crc >>= 1;
                if carry {
                    crc ^= POLYNOMIAL;
                }
                bit += 1;
            }
            tables[zeros][byte] = crc;
            zeros += 1;
        }
        byte += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, bit by bit.
    fn naive(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            }
        }
        !crc
    }

    /// The check value is that of "CRC-32/ISO-HDLC" in Greg Cook's catalogue of CRC algorithms;
    /// zlib computed the others.
    #[test]
    fn the_published_values_are_computed() {
        let vectors: [(&[u8], u32); 6] = [
            (b"", 0),
            (b"a", 0xE8B7_BE43),
            (b"123456789", 0xCBF4_3926),
            (b"The quick brown fox jumps over the lazy dog", 0x414F_A339),
            (&[0; 32], 0x190A_55AD),
            (&[0xFF; 32], 0xFF6C_AB0B),
        ];
        for (bytes, expected) in vectors {
            assert_eq!(crc32([bytes, b""]), expected, "{bytes:?}");
            assert_eq!(naive(bytes), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_that_of_the_definition_wherever_the_bytes_are_parted(
            bytes in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>(),
        ) {
            let (before, behind) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(crc32([before, behind]), naive(&bytes));
            prop_assert_eq!(crc32([&bytes, b""]), naive(&bytes));
        }
    }
}
