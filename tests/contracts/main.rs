//! The contracts of the seams: each is written once and run over all.

include!("../support/prelude.rs");

test_program!(codes, fleets, hostile, limits, real_redis, schema, store);
