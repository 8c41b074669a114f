//! The program as a person meets it: the README's story, the commands, the settings.

include!("../support/prelude.rs");

test_program!(check_config, commands, readme, run, settings, startup);
