//! What happened once, or may happen to anybody.

use super::world::{S, Step, World};
