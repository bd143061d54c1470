use super::*;

const SECRET: [u8; 64] = [0xa5; 64];
const COMMITMENT: [u8; 32] = [0x3c; 32];

fn set(count: u8, threshold: u8) -> Vec<Share> {
    split(Divided::RecoveryKey, &SECRET, Scheme::new(count, threshold).unwrap(), COMMITMENT, &mut rand::rng())
}

fn picked(shares: &[Share], numbers: &[usize]) -> Vec<Share> {
    numbers.iter().map(|number| shares[number - 1].clone()).collect()
}

fn refusal(shares: &[Share]) -> ShareError {
    combine(shares).expect_err("a refusal")
}

/// The text with the first line that starts with `start` changed.
fn with_line(text: &str, start: &str, change: impl Fn(&str) -> String) -> String {
    let line = text.lines().find(|line| line.starts_with(start)).unwrap();
    text.replacen(line, &change(line), 1)
}

fn misread(text: &str) -> ShareError {
    Share::from_text(text).err().expect("a refusal")
}

#[test]
fn any_two_of_three_bring_the_secret_back_in_any_order() {
    let shares = set(3, 2);
    for numbers in [&[1, 2][..], &[2, 1], &[1, 3], &[3, 2], &[3, 1, 2]] {
        assert_eq!(combine(&picked(&shares, numbers)).unwrap().as_slice(), SECRET, "{numbers:?}");
    }
}

#[test]
fn fewer_than_needed_are_refused_and_say_nothing_of_the_secret() {
    let shares = set(5, 3);
    let refused = refusal(&picked(&shares, &[2, 5]));
    assert_eq!(refused, ShareError::TooFew { have: 2, needed: 3, count: 5 });
    for share in &shares {
        assert_ne!(share.points.as_slice(), SECRET);
    }
}

#[test]
fn shares_of_two_sets_do_not_mix_even_of_one_secret() {
    let (one, other) = (set(3, 2), set(3, 2));
    let refused = refusal(&[one[0].clone(), other[1].clone()]);
    assert_eq!(refused, ShareError::OtherSet(one[0].set_id(), other[1].set_id()));
}

#[test]
fn one_share_given_twice_does_not_count_twice() {
    let shares = set(3, 2);
    assert_eq!(refusal(&picked(&shares, &[2, 2])), ShareError::Twice(2));
}

#[test]
fn schemes_that_protect_nothing_or_cannot_be_met_are_refused() {
    for (count, threshold) in [(0, 0), (1, 1), (3, 0), (3, 1), (3, 4), (17, 2), (255, 255)] {
        assert_eq!(Scheme::new(count, threshold), Err(ShareError::Scheme), "{threshold} of {count}");
    }
    assert!(Scheme::new(2, 2).is_ok() && Scheme::new(16, 16).is_ok());
}

#[test]
fn a_share_reads_back_from_its_text_however_it_was_typed() {
    let shares = set(3, 2);
    let text = shares[1].to_text("For the safe.\n\n");
    let typed = [
        text.to_string(),
        text.to_string().replace('\n', "\r\n"),
        text.lines()
            .map(|line| match line.split_once(": ") {
                Some((number, rest)) if number.parse::<u8>().is_ok() => {
                    format!("  {number}:{}\n\n", rest.replace(' ', "").to_uppercase().replace('O', "0"))
                }
                _ => format!("{line}\n"),
            })
            .collect(),
    ];
    for text in typed {
        let read = Share::from_text(&text).unwrap();
        assert!(read.number() == 2 && read.is_of_the_set_of(&shares[0]));
        assert_eq!(combine(&[read, shares[0].clone()]).unwrap().as_slice(), SECRET);
    }
}

#[test]
fn two_swapped_letters_are_found_and_their_line_named() {
    let text = set(3, 2)[0].to_text("");
    for line in 1..=5 {
        let start = format!("{line}: ");
        let swapped = with_line(&text, &start, |found| {
            let mut letters: Vec<char> = found.chars().collect();
            let at = (start.len()..letters.len() - 1)
                .find(|at| letters[*at] != letters[at + 1] && letters[at + 1] != ' ' && letters[*at] != ' ')
                .unwrap();
            letters.swap(at, at + 1);
            letters.into_iter().collect()
        });
        assert_eq!(misread(&swapped), ShareError::Mistyped { line });
    }
}

#[test]
fn lines_in_the_wrong_order_or_of_another_share_are_found() {
    let shares = set(3, 2);
    let [text, other] = [&shares[0], &shares[1]].map(|share| share.to_text("").to_string());
    let line =
        |text: &str, start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let exchanged = with_line(&text, "2: ", |_| line(&text, "3: ").replacen("3:", "2:", 1));
    assert_eq!(misread(&exchanged), ShareError::Mistyped { line: 2 });
    let foreign = with_line(&text, "4: ", |_| line(&other, "4: "));
    assert_eq!(misread(&foreign), ShareError::Mistyped { line: 4 });
    let missing = text.replacen(&format!("{}\n", line(&text, "5: ")), "", 1);
    assert_eq!(misread(&missing), ShareError::Altered);
}

#[test]
fn a_changed_head_is_found() {
    let text = set(3, 2)[0].to_text("");
    let threshold = with_line(&text, "Share: ", |_| "Share: 1 of 4, 2 needed".into());
    assert_eq!(misread(&threshold), ShareError::Altered);
    let key = with_line(&text, "Key: ", |line| line.replacen("3c3c", "3c3d", 1));
    assert_eq!(misread(&key), ShareError::Altered);
    let number = with_line(&text, "Share: ", |_| "Share: 2 of 3, 2 needed".into());
    assert_eq!(misread(&number), ShareError::Mistyped { line: 1 });
}

#[test]
fn texts_without_a_share_or_with_two_are_refused() {
    let text = set(3, 2)[0].to_text("");
    let half = text.split_at(text.len() / 2).0;
    for wrong in
        ["", "nothing", half, &format!("{}{}", *text, *text), &format!("{}{}", "x".repeat(20_000), *text)]
    {
        assert_eq!(misread(wrong), ShareError::NotAShare);
    }
}

#[test]
fn a_share_of_an_archive_key_is_never_one_of_a_recovery_key() {
    let scheme = Scheme::new(3, 2).unwrap();
    let shares = split(Divided::ArchiveKey, &[9; 32], scheme, COMMITMENT, &mut rand::rng());
    let text = shares[0].to_text("For an officer.\n\n");
    assert!(text.contains("BEGIN DCCP ARCHIVE SHARE"), "{}", *text);
    assert_eq!(Share::from_text(&text).unwrap().of(), Divided::ArchiveKey);
    assert_eq!(misread(&text.replace("ARCHIVE", "RECOVERY")), ShareError::Altered);
    let of_recovery = set(3, 2)[0].to_text("");
    assert_eq!(misread(&format!("{}{}", *text, *of_recovery)), ShareError::NotAShare, "one at a time");
    assert_eq!(combine(&shares[1..]).unwrap().as_slice(), [9; 32]);
}
