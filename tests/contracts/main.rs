//! What every backend of a seam must keep: each contract is written once and run over all.

include!("../support/prelude.rs");

test_program!(codes, fleets, limits, real_redis, schema, store);
