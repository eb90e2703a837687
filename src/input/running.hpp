#pragma once
// The sources of a sources.toml, running. A port that is taken is no reason for the others not to run: it is said in the book and tried
// again every half minute.
// Life: after State, Sink, Book and parsers, gone before them; the destructor stops all. Thread rules: one thread.
#include <memory>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "input/book.hpp"
#include "input/sources_file.hpp"

namespace bavn::input {

class RunningSources {
 public:
  /// parsers: may be null, then Windows events as XML are refused. Sources that the book knows and the file does not any more are shown
  /// as off, but for those of others ("m365.", "http.").
  static std::unique_ptr<RunningSources> start(Runtime& runtime, store::State& state, Sink& sink, Book& book,
                                               jail::Parsers* parsers, SourcesFile file);
  ~RunningSources();
  RunningSources(const RunningSources&) = delete;
  RunningSources& operator=(const RunningSources&) = delete;

  /// Look now: for tests, and for a person who waits.
  void wake();

 private:
  struct Inner;
  explicit RunningSources(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::input
