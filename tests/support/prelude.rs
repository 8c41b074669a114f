// The head of every test program: its modules beside the support that all share.

macro_rules! test_program {
    ($($module:ident),+ $(,)?) => {
        modules!("../../tests/support/mod.rs" support);
        $(modules!($module);)+
    };
}

macro_rules! modules {
    ($($path:literal)? $module:ident) => {
        $(#[path = $path])?
        #[macro_use]
        #[allow(
            dead_code,
            unused_macros,
            unused_imports,
            unreachable_pub,
            clippy::unwrap_used,
            clippy::wrong_self_convention,
            clippy::needless_pass_by_value,
            clippy::allow_attributes,
            reason = "the support is shared, and a helper that fails fails its test"
        )]
        mod $module;
    };
}
