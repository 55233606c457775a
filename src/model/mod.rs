//! What will the kubelet do? Pure functions that mirror its rules.
