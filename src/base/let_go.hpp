#pragma once
// Memory that is not needed any more. `x = {}` keeps the capacity of a string or vector, and so does `s = std::string()` with libstdc++,
// whose strings take a short one over as a copy.

namespace bavn {

/// x is empty, and what it held is free.
template <class T>
void let_go(T& x) {
  T().swap(x);
}

}  // namespace bavn
