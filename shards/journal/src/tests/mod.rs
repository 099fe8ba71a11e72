//! The journal on the fake disk, against a model of what each replica must be after each of its records.

mod crash;
mod damage;
mod rig;
mod ring;
