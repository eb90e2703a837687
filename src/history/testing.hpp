#pragma once
// For tests only: a history on a simulated or real disk, and a model of what must be in it. A line is words "name=value"; every
// word is an observable, its hash that of the word.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "base/hash.hpp"
#include "base/sim.hpp"
#include "base/sim_files.hpp"
#include "base/text.hpp"
#include "history/history.hpp"
#include "store/kv.hpp"

namespace bavn::history::testing {

constexpr event::Kind kWord = event::Kind::domain;
constexpr Posting word_posting(std::uint64_t hash) {
  return {hash, static_cast<std::uint8_t>(kWord)};
}

inline void extract_words(const FrameInfo&, std::string_view, std::string_view lines, std::vector<Posting>& out) {
  for (const auto line : split(lines, '\n'))
    for (const auto word : split(line, ' '))
      if (word.find('=') != std::string_view::npos) out.push_back(word_posting(hash64(word)));
}

inline std::string temporary_folder() {
  std::string path = "/tmp/bavn_history_XXXXXX";
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  return path;
}

inline const event::Scope& owner() {
  static const event::Scope scope = event::Scope::local_owner();
  return scope;
}

inline BatchId batch_id(std::uint64_t n) {
  BatchId id{};
  std::memcpy(id.data(), &n, sizeof n);
  id[15] = 1;
  return id;
}

inline Result<Ack> append(History& h, std::string_view source, const std::vector<std::string>& lines, BatchId id = {},
                          std::int64_t happened_us = 0, std::string_view context = "") {
  std::string text;
  for (const auto& l : lines) text += (text.empty() ? "" : "\n") + l;
  std::vector<Posting> postings;
  extract_words({}, "", text, postings);
  const std::vector<std::int64_t> times(lines.size(), happened_us);
  Batch b;
  b.source = source;
  b.municipality = MunicipalityId{1};
  b.tenant = TenantId{1};
  b.format = "words";
  b.context = context;
  b.id = id;
  b.lines = text;
  b.count = static_cast<std::uint32_t>(lines.size());
  b.happened_us = times;
  b.postings = postings;
  return h.append(owner(), b);
}

/// Lines that hold the word, by index and verification.
inline Result<std::vector<std::string>> find(const History& h, std::string_view word, const Filter& filter = {}) {
  std::vector<std::string> found;
  BAVN_TRY(const auto refs, h.lookup(owner(), word_posting(hash64(word)), filter));
  FrameText text;
  for (const auto& ref : refs) {
    BAVN_CHECK(h.read(owner(), ref, text));
    for (const auto line : split(text.lines(), '\n'))
      for (const auto w : split(line, ' '))
        if (w == word) {
          found.emplace_back(line);
          break;
        }
  }
  return found;
}

inline std::multiset<std::string> everything(const History& h) {
  std::multiset<std::string> all;
  const auto ok = h.for_each_frame(owner(), {}, {}, [&](const FrameInfo&, const FrameText& t) {
    for (const auto line : split(t.lines(), '\n')) all.emplace(line);
    return true;
  });
  EXPECT_TRUE(ok) << (ok ? "" : to_string(ok.error()));
  return all;
}

/// A history under Sim: simulated disk and clock; the index is on the real disk.
struct SimStore {
  explicit SimStore(std::uint64_t seed = 1) : sim(seed), folder(temporary_folder()) {
    options.extract = extract_words;
    options.index_path = folder + "/index";
    options.segment_age = std::chrono::hours(10000);
  }
  ~SimStore() {
    history.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  Result<void> try_open() {
    history.reset();
    BAVN_TRY(history, History::open(sim, "/data/history", options));
    return {};
  }
  void open() {
    const auto ok = try_open();
    ASSERT_TRUE(ok) << to_string(ok.error());
  }
  std::string segment(std::uint32_t n) const { return "/data/history/seg-" + std::to_string(n); }

  Sim sim;
  std::string folder;
  Options options;
  std::unique_ptr<History> history;
};

/// The bytes of the index itself, of a history that is closed.
inline std::unique_ptr<store::Kv> open_index(const SimStore& s) {
  store::KvOptions o;
  o.families.push_back({"obs", kPrefixBytes, {}});
  o.families.push_back({"kv", 0, {}});
  return store::Kv::open(s.options.index_path, o).value();
}

inline void expect_sound(const History& h) {
  const auto report = h.check(owner());
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_TRUE(report->ok()) << report->problem_count << " problems, first: " << report->problems.front();
}

/// `n` lines of `kinds` hosts and a number each.
inline std::vector<std::string> some_lines(std::mt19937_64& random, std::size_t n, std::uint64_t& number) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < n; ++i)
    lines.push_back("n=" + std::to_string(number++) + " host=h" + std::to_string(random() % 50) +
                    ".example.org user=u" + std::to_string(random() % 200) +
                    " some words that come again and again in every line of this log");
  return lines;
}

}  // namespace bavn::history::testing
