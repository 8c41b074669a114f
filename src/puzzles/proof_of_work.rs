//! A proof of work: a counter, found by trying, whose key is derived as the parameters say.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use altcha::{CreateChallengeOptions, Payload, VerifySolutionOptions, create_challenge, verify_solution};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Binding, Puzzle, Solved};
use crate::{
    crypto::{Keyring, MacPurpose, RootKey},
    domain::{Random, Timestamp, hex},
};

/// Makes and checks proofs of work.
///
/// The counter is drawn here, and its derived key signed beside the parameters: so checking is two HMACs, and making
/// one is a single derivation, whatever it costs to find the counter.
#[derive(Clone)]
pub struct ProofOfWork {
    pub(crate) keyring: Keyring,
    pub(crate) random: Arc<dyn Random>,
    /// Iterations of PBKDF2 in one try.
    pub(crate) cost: u32,
}

/// How long a puzzle can be solved.
const LIFE: Duration = Duration::from_mins(5);
/// Iterations of all tries together, at the usual price, where single ones cost much.
const WORK: u32 = 1_200_000;
/// A try is some 0.2 ms in a browser, most of it the browser's own overhead; a phone takes two or three times as long.
const MOST_TRIES: u32 = 3_000;
const FEWEST_TRIES: u32 = 16;
/// The signed field that names the use.
const BINDING: &str = "for";

impl ProofOfWork {
    /// A puzzle, so many times as dear as usual.
    pub fn puzzle(&self, binding: &Binding, factor: u32, now: Timestamp) -> Puzzle {
        let tries = (WORK / self.cost).clamp(FEWEST_TRIES, MOST_TRIES);
        let key = self.keyring.current();
        let [parameters, derived] = secrets(key);
        let challenge = create_challenge(CreateChallengeOptions {
            cost: self.cost.saturating_mul(factor),
            counter: u32::try_from(self.random.below(tries.into())).ok(),
            data: Some(BTreeMap::from([(BINDING.to_owned(), name_of(key, binding).into())])),
            expires_at: Some(now.plus(LIFE).millis() / 1_000),
            hmac_signature_secret: Some(parameters),
            hmac_key_signature_secret: Some(derived),
            ..CreateChallengeOptions::default()
        });
        let challenge = challenge.expect("the options are constants, numbers and hex");
        Puzzle::ProofOfWork {
            parameters: serde_json::to_value(challenge.parameters).expect("text and numbers are JSON"),
            signature: challenge.signature.unwrap_or_default(),
        }
    }

    /// The solution in ALTCHA's payload, if it is right for this use now. Whether it was used is not looked at.
    pub fn solved(&self, payload: &str, binding: &Binding, now: Timestamp) -> Option<Solved> {
        let payload: Payload = serde_json::from_slice(&STANDARD.decode(payload).ok()?).ok()?;
        let parameters = &payload.challenge.parameters;
        let expires_at = Timestamp::from_millis(parameters.expires_at?.checked_mul(1_000)?);
        let named = parameters.data.as_ref()?.get(BINDING)?.as_str()?;
        let is_right = self.keyring.accepted().any(|key| {
            let [signed_by, derived_by] = secrets(key);
            let mut options = VerifySolutionOptions::new(&payload.challenge, &payload.solution, signed_by);
            options.hmac_key_signature_secret = Some(derived_by);
            named == name_of(key, binding) && verify_solution(options).is_ok_and(|result| result.verified)
        });
        // By the nonce, which is signed: the payload's text could be spelt in many ways.
        (is_right && expires_at > now).then(|| Solved { name: parameters.nonce.clone(), expires_at })
    }
}

/// Of the parameters, and of the derived key.
fn secrets(key: &RootKey) -> [String; 2] {
    [&b"parameters"[..], b"derived key"].map(|name| hex(&key.mac(MacPurpose::Puzzle, &[name])))
}

fn name_of(key: &RootKey, binding: &Binding) -> String {
    hex(&key.mac(MacPurpose::Puzzle, &[b"use", binding.destination.as_bytes(), binding.network.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use altcha::{Challenge, SolveChallengeOptions, solve_challenge};
    use serde_json::json;

    use super::*;
    use crate::domain::{Clock as _, DestinationHash, OsRandom, SystemClock};

    fn work(keyring: Keyring) -> ProofOfWork {
        ProofOfWork { keyring, random: Arc::new(OsRandom), cost: 100 }
    }

    fn key(byte: u8) -> RootKey {
        RootKey::from_bytes([byte; 32])
    }

    fn binding(address: &str, network: &str) -> Binding {
        Binding { destination: DestinationHash::of_key(address), network: network.to_owned() }
    }

    fn solve(puzzle: &Puzzle) -> serde_json::Value {
        let Puzzle::ProofOfWork { parameters, signature } = puzzle else { panic!("it is a proof of work") };
        let challenge = json!({"parameters": parameters, "signature": signature});
        let read: Challenge = serde_json::from_value(challenge.clone()).unwrap();
        let solution = solve_challenge(SolveChallengeOptions::new(&read)).unwrap().unwrap();
        json!({"challenge": challenge, "solution": {"counter": solution.counter, "derivedKey": solution.derived_key}})
    }

    fn payload(solved: &serde_json::Value) -> String {
        STANDARD.encode(solved.to_string())
    }

    #[test]
    fn a_solution_is_good_for_its_use_and_time_alone() {
        let (work, now) = (work(Keyring::new(key(1), vec![])), SystemClock.now());
        let ann = binding("ann", "192.0.2.1");
        let puzzle = work.puzzle(&ann, 1, now);
        let solved = payload(&solve(&puzzle));
        let answer = work.solved(&solved, &ann, now).unwrap();
        assert_eq!(Some(answer.clone()), work.solved(&solved, &ann, now.plus(Duration::from_secs(298))));
        assert_eq!(work.solved(&solved, &ann, now.plus(LIFE)), None, "too late");
        assert_eq!(work.solved(&solved, &binding("bob", "192.0.2.1"), now), None);
        assert_eq!(work.solved(&solved, &binding("ann", "192.0.2.2"), now), None);
        let spelt = STANDARD.encode(format!(" {}", solve(&puzzle)));
        assert_eq!(work.solved(&spelt, &ann, now), Some(answer), "another text is the same solution");
    }

    #[test]
    fn nothing_in_a_solution_can_be_changed() {
        let (work, now) = (work(Keyring::new(key(1), vec![])), SystemClock.now());
        let ann = binding("ann", "192.0.2.1");
        let right = solve(&work.puzzle(&ann, 1, now));
        for (pointer, value) in [
            ("/challenge/parameters/cost", json!(1)),
            ("/challenge/parameters/keyPrefix", json!("")),
            ("/challenge/parameters/keySignature", json!("00")),
            ("/challenge/parameters/expiresAt", json!(4_000_000_000_u32)),
            ("/challenge/parameters/nonce", json!("00000000000000000000000000000000")),
            ("/challenge/parameters/data/for", json!("0".repeat(64))),
            ("/challenge/signature", json!("")),
            ("/solution/derivedKey", json!("00")),
            ("/solution/derivedKey", json!("not hex")),
        ] {
            let mut wrong = right.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            assert_eq!(work.solved(&payload(&wrong), &ann, now), None, "{pointer}");
        }
        for junk in ["", "e30=", "bm90IEpTT04=", "not base64!"] {
            assert_eq!(work.solved(junk, &ann, now), None, "{junk}");
        }
    }

    #[test]
    fn a_previous_key_is_accepted_and_another_is_not() {
        let (now, ann) = (SystemClock.now(), binding("ann", "192.0.2.1"));
        let solved = payload(&solve(&work(Keyring::new(key(1), vec![])).puzzle(&ann, 1, now)));
        assert!(work(Keyring::new(key(2), vec![key(1)])).solved(&solved, &ann, now).is_some());
        assert!(work(Keyring::new(key(2), vec![])).solved(&solved, &ann, now).is_none());
    }

    #[test]
    fn the_cost_grows_by_the_factor() {
        let work = work(Keyring::new(key(1), vec![]));
        for factor in [1, 2, 16] {
            let puzzle = work.puzzle(&binding("ann", "192.0.2.1"), factor, SystemClock.now());
            let Puzzle::ProofOfWork { parameters, .. } = puzzle else { panic!("it is a proof of work") };
            assert_eq!(parameters["cost"], 100 * factor);
        }
    }
}
