//! What an asker learns, and what not.

use std::time::Duration;

use dccp::find::{ANSWER_BYTES, QUESTION_BYTES};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::super::grid::{GRID, Still, Timer, on_the_grid};
use super::*;

/// Answers of each kind that the statistics look at.
const SAMPLES: usize = 300;

/// How far two samples may be apart by chance: once in 10⁸ runs. The samples here come from a seeded generator and a
/// clock that stands still, so a run that fails, fails always.
const Z_MAX: f64 = 5.7;

/// Mann–Whitney's U as a normal deviate: how sure one may be that one sample tends to larger values. Ties get the mean of
/// their ranks, and the variance is corrected for them.
fn mann_whitney(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        one.iter().map(|value| (*value, true)).chain(other.iter().map(|value| (*value, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (n, m, total) = (one.len() as f64, other.len() as f64, all.len() as f64);
    let (mut ranks, mut ties, mut at) = (0.0, 0.0, 0);
    while at < all.len() {
        let equal = all[at..].iter().take_while(|(value, _)| *value == all[at].0).count();
        let rank = at as f64 + (equal as f64 + 1.0) / 2.0;
        ranks += rank * all[at..at + equal].iter().filter(|(_, first)| *first).count() as f64;
        ties += (equal as f64).powi(3) - equal as f64;
        at += equal;
    }
    let u = ranks - n * (n + 1.0) / 2.0;
    let variance = n * m / 12.0 * ((total + 1.0) - ties / (total * (total - 1.0)));
    if variance <= f64::EPSILON { 0.0 } else { (u - n * m / 2.0) / variance.sqrt() }
}

/// Kolmogorov–Smirnov: the largest distance between the two distributions.
fn kolmogorov_smirnov(one: &[f64], other: &[f64]) -> f64 {
    let share = |sample: &[f64], limit: f64| {
        sample.iter().filter(|value| **value <= limit).count() as f64 / sample.len() as f64
    };
    one.iter().chain(other).map(|at| (share(one, *at) - share(other, *at)).abs()).fold(0.0, f64::max)
}

#[test]
fn the_statistics_tell_apart_what_differs_and_nothing_else() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let mut sample =
        |from: f64, to: f64| -> Vec<f64> { (0..SAMPLES).map(|_| rng.random_range(from..to)).collect() };
    let (one, same, slower) = (sample(1.0, 4.0), sample(1.0, 4.0), sample(2.0, 5.0));
    assert!(mann_whitney(&one, &same).abs() < Z_MAX);
    assert!(mann_whitney(&one, &slower).abs() > Z_MAX);
    assert!(kolmogorov_smirnov(&one, &same) < 0.15);
    assert!(kolmogorov_smirnov(&one, &slower) > 0.25);
    assert_eq!(mann_whitney(&[1.0; 9], &[1.0; 9]), 0.0);
}

#[tokio::test]
async fn existing_and_missing_addresses_cannot_be_told_apart_by_when_the_answer_leaves() {
    let desk = Desk::open().await;
    desk.add(BOB, Holding::Org).await;
    let mut rng = rand::rngs::StdRng::seed_from_u64(2);
    let mut order: Vec<bool> = (0..2 * SAMPLES).map(|at| at % 2 == 0).collect();
    order.shuffle(&mut rng);
    let timer = Still::default();
    let (mut costs, mut waits) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for exists in order {
        let address = if exists { BOB.to_owned() } else { format!("nobody{}@globex.test", waits[0].len()) };
        // Worse than the truth: finding somebody costs far more than finding nobody.
        let cost_us = if exists { rng.random_range(4_000..9_000) } else { rng.random_range(500..3_000) };
        let question = Question::new(&address, rand::random()).unwrap();
        let came = timer.now();
        let slow = async {
            timer.spend(Duration::from_micros(cost_us));
            desk.registry.about_address(question.clone(), &question.to_bytes(), &partner(), NOW).await
        };
        on_the_grid(&timer, slow).await.unwrap();
        costs[usize::from(exists)].push(cost_us as f64);
        waits[usize::from(exists)].push((timer.now() - came).as_secs_f64());
    }
    let [missing, existing] = &costs;
    assert!(mann_whitney(existing, missing).abs() > Z_MAX, "the costs alone give it away");
    let [missing, existing] = &waits;
    assert!(mann_whitney(existing, missing).abs() < Z_MAX);
    assert_eq!(kolmogorov_smirnov(existing, missing), 0.0);
    desk.close().await;
}

#[tokio::test]
async fn every_question_about_an_address_waits_for_the_grid() {
    let desk = Desk::open().await;
    desk.publish(BOB).await;
    for address in [BOB, EVE, "alice@acme.test"] {
        let came = Instant::now();
        desk.told(address).await;
        assert!(came.elapsed() >= GRID, "{address}");
    }
    desk.close().await;
}

#[tokio::test]
async fn whoever_is_not_published_is_answered_like_whoever_does_not_exist() {
    let desk = Desk::open().await;
    for (address, _) in [(BOB, 0), (EVE, 1)] {
        desk.publish(address).await;
    }
    desk.add("unlisted@globex.test", Holding::Org).await;
    desk.publish("hidden@globex.test").await;
    desk.registrar.unlist("hidden@globex.test").await.unwrap();
    desk.registrar.deactivate(EVE, NOW).await.unwrap();
    let nobodies = [
        "unlisted@globex.test",
        "hidden@globex.test",
        EVE,
        "nobody@globex.test",
        "alice@acme.test",
        "no address at all",
        "@",
    ];
    let expected = desk.told("nobody@globex.test").await;
    assert_eq!(expected.mode, Mode::Domain);
    for address in nobodies {
        assert_eq!(desk.told(address).await, expected, "{address}");
    }
    // Asked too often, even bob is nobody, and the answer is still the same.
    let mut answers = Vec::new();
    for _ in 0..40 {
        let question = Question::new(BOB, rand::random()).unwrap();
        let bytes = desk.registry.answer(&question.to_bytes(), &stranger(1), NOW).await.unwrap();
        answers.push(Answer::verify(&bytes, &question, &desk.did(), &desk.office.devices, NOW).unwrap());
    }
    let named = answers.iter().filter(|answer| answer.mode != Mode::Domain).count();
    assert!(named > 0 && named < 40, "{named} of 40 answers name bob");
    assert_eq!(answers.last(), Some(&expected));
    desk.close().await;
}

#[tokio::test]
async fn all_answers_have_the_same_number_of_octets() {
    let desk = Desk::open().await;
    desk.publish(BOB).await;
    desk.add(EVE, Holding::Org).await;
    let long = format!("{}@globex.test", "x".repeat(240));
    for round in 0..50 {
        for address in [BOB, EVE, "nobody@globex.test", "a@b", &long] {
            let question = Question::new(address, rand::random()).unwrap().to_bytes();
            let answer = desk.registry.answer(&question, &partner(), NOW).await.unwrap();
            assert_eq!((question.len(), answer.len()), (QUESTION_BYTES, ANSWER_BYTES), "{address} {round}");
        }
    }
    desk.close().await;
}

#[tokio::test]
async fn what_is_no_question_is_not_answered() {
    let desk = Desk::open().await;
    for bytes in [vec![], vec![0; QUESTION_BYTES], vec![0x81; QUESTION_BYTES], vec![0xa0]] {
        assert_eq!(desk.registry.answer(&bytes, &partner(), NOW).await, None);
    }
    desk.close().await;
}

#[tokio::test]
async fn an_organisation_without_people_answers_like_any_other() {
    let desk = Desk::open().await;
    let answer = desk.told(BOB).await;
    assert_eq!((answer.mode, answer.tree.size), (Mode::Domain, 0));
    desk.close().await;
}
