//! Whether this machine can carry out a plan.
