//! The most common passwords, which nobody may choose.

/// The 30,000 most common passwords in lower case, sorted by their octets: the `passwords` list of
/// zxcvbn (`PyPI`'s 4.5.0), whose MIT licence stands beside it.
const LIST: &str = include_str!("list.txt");

/// Whether a password is among the most common ones, in any case; it is searched in the text itself, which
/// costs no memory.
pub(super) fn has(password: &str) -> bool {
    let wanted = password.to_lowercase();
    let (mut low, mut high) = (0, LIST.len());
    while low < high {
        let middle = LIST.floor_char_boundary(low.midpoint(high));
        let start = LIST[low..middle].rfind('\n').map_or(low, |at| low + at + 1);
        let end = LIST[middle..].find('\n').map_or(LIST.len(), |at| middle + at);
        match LIST[start..end].cmp(&wanted) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_list_is_found_and_no_other() {
        assert!(LIST.lines().count() >= 20_000);
        assert!(LIST.lines().is_sorted(), "else the search would miss some");
        for word in LIST.lines() {
            assert!(has(word), "{word}");
        }
        assert!(has("PassWord1"));
        for other in ["", "correct horse", "\u{10ffff}", "0", "password1 ", "zzzzzzzzzzzzzzz!"] {
            assert!(!has(other), "{other}");
        }
    }
}
