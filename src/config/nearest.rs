//! The known name that a wrong one was probably meant to be.

/// The nearest of the known names, letter case aside. `None`: none is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known
        .into_iter()
        .map(|known| (distance(name, known), known));
    let (distance, known) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.chars().count() / 2).max(2)).then_some(known)
}

/// The number of letters to insert, delete or change to make one name of another, letter case aside.
fn distance(from: &str, to: &str) -> usize {
    let to = to.as_bytes();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, have) in from.bytes().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, want) in to.iter().enumerate() {
            let changed = diagonal + usize::from(!have.eq_ignore_ascii_case(want));
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_with_the_fewest_changes() {
        let known = ["url", "cacheTTL", "staleTime"];
        for (name, expected) in [
            ("ulr", Some("url")),
            ("cachettl", Some("cacheTTL")),
            ("staleTimes", Some("staleTime")),
            ("somethingElse", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert!(distance(&"x".repeat(100_000), "cacheTTL") <= 64);
    }
}
