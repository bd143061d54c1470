//! Sealed messages that say something false about the body beside them.

use super::envelope::{Field, decode, encode, get, octets, pad, with};
use super::spoiled::{DECRYPTION, Spoiled, Writer, spoiled};

fn outline(digest: &[u8], sealed_bytes: u64) -> Field {
    octets(encode(&vec![(1, octets(digest)), (2, Field::Number(sealed_bytes))]))
}

/// Header and signed reference, right but for one thing.
pub(crate) fn beside(writer: &Writer<'_>) -> Vec<Spoiled> {
    const CONTRADICTION: &str = "Contradiction(\"body\")";
    const OUT_OF_BOUNDS: &str = "OutOfBounds(\"body\")";
    let mail = writer.scene.large_mail();
    let reference = decode(&get(&decode(&mail.payload), 16).unwrap());
    let digest = get(&reference, 2).unwrap();
    let good = outline(&digest, 1024 + 16);
    let text = writer.body();
    let large = with(&with(&text, 3, Some(octets(&mail.payload))), 8, Some(octets("message/rfc822")));
    let sealed = |outline, body| encode(&writer.seal_beside(outline, pad(&encode(&writer.signed(body)))));
    assert!(writer.scene.judge(sealed(Some(good.clone()), &large)).is_ok(), "the writer writes bodies");
    let shown = |field| encode(&with(&writer.good(), 11, Some(field)));
    vec![
        spoiled("a short digest outside", "31 octets", OUT_OF_BOUNDS, shown(outline(&[1; 31], 1040))),
        spoiled("a body of nothing", "a tag alone", OUT_OF_BOUNDS, shown(outline(&digest, 16))),
        spoiled(
            "a body that is not padded",
            "1023 + 16 octets",
            OUT_OF_BOUNDS,
            shown(outline(&digest, 1039)),
        ),
        spoiled(
            "a body of 385 chunks",
            "384 at most",
            OUT_OF_BOUNDS,
            shown(outline(&digest, 385 * (262_144 + 16))),
        ),
        spoiled("a body put on", "the outline is authenticated", DECRYPTION, shown(good.clone())),
        spoiled("a body taken off", "the outline is authenticated", DECRYPTION, {
            let whole = decode(&sealed(Some(good.clone()), &large));
            encode(&with(&whole, 11, None))
        }),
        spoiled("a body outside alone", "there is none inside", CONTRADICTION, sealed(Some(good), &text)),
        spoiled("a body inside alone", "none is shown outside", CONTRADICTION, sealed(None, &large)),
        spoiled(
            "another body outside",
            "another digest",
            CONTRADICTION,
            sealed(Some(outline(&[9; 32], 1040)), &large),
        ),
        spoiled(
            "another size outside",
            "that of 2048 padded octets",
            CONTRADICTION,
            sealed(Some(outline(&digest, 2064)), &large),
        ),
    ]
}
