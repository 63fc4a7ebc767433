//! Verifications are bounded, and shared out between networks.

use super::*;

#[test]
fn wrong_proofs_of_a_network_are_bounded_in_a_minute_and_spend_nobody_elses() {
    let (verifications, now) = (Verifications::new(), Instant::now());
    let admits =
        |address: &str, now| verifications.admit_proof(address.parse().unwrap(), now).is_ok();
    for (flood, same, other) in [
        ("192.0.2.1", "::ffff:192.0.2.255", "192.0.3.1"),
        ("2001:db8:1::1", "2001:db8:1:ffff::2", "2001:db8:2::1"),
    ] {
        assert!((0..UNPROVEN_A_MINUTE).all(|_| admits(flood, now)));
        assert!(!admits(flood, now) && !admits(same, now + MINUTE / 2));
        assert!(admits(other, now));
        assert!(admits(same, now + MINUTE), "another minute");
    }
    let shared = "198.51.100.1";
    for _ in 0..1_000 {
        assert!(admits(shared, now), "right ones do not count");
        verifications.forget_proof(shared.parse().unwrap(), now);
    }
}

#[test]
fn no_network_takes_all_places_and_each_place_comes_back() {
    let places = Places::default();
    let take = |address: &str| places.take(Some(address.parse().unwrap()));
    for _ in 0..3 {
        let mut flood: Vec<_> = (0..AT_ONCE).map_while(|_| take("192.0.2.1").ok()).collect();
        assert_eq!(flood.len(), OF_A_NETWORK);
        flood.pop();
        flood.extend((0..AT_ONCE).map_while(|_| take("192.0.2.1").ok()));
        assert_eq!(flood.len(), OF_A_NETWORK, "one comes back, and no more");
        assert!(take("::ffff:192.0.2.255").is_err(), "the same network");
        assert!(take("192.0.3.1").is_ok() && take("2001:db8::1").is_ok());
        assert!(places.take(None).is_ok());
    }
    let many: Vec<_> = (0..=255).filter_map(|net| take(&format!("10.0.{net}.1")).ok()).collect();
    assert_eq!(many.len(), AT_ONCE);
    drop(many);
    assert!(places.lock().is_empty());
}
