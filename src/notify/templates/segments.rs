//! Counting the segments of a text message.

/// The basic alphabet of GSM-7, without its escape.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Its extension, two septets each.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// The number of segments that a text is sent and billed as: 160 septets each, or 70 UTF-16 units if a letter
/// needs them; fewer if several are joined (3GPP TS 23.038 and 23.040).
pub fn segments(text: &str) -> usize {
    let septets = text.chars().try_fold(0, |sum, letter| match letter {
        _ if BASIC.contains(letter) => Some(sum + 1),
        _ if EXTENDED.contains(letter) => Some(sum + 2),
        _ => None,
    });
    let (units, single, joined) = match septets {
        Some(septets) => (septets, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    if units <= single { 1 } else { units.div_ceil(joined) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_as_networks_count_them() {
        for (text, expected) in [
            (String::new(), 1),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("é".repeat(160), 1),
            ("ê".repeat(70), 1),
            ("ê".repeat(71), 2),
            ("हि".repeat(36), 2),
        ] {
            assert_eq!(segments(&text), expected, "{text}");
        }
    }
}
