#pragma once
// One description of a part of a scenario, used twice: to read it from YAML with every fault named, and to write its documentation.
// Life: for the time of one read or one explanation. Thread rules: one thread.
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/simulate/scenario.hpp"

namespace bavn::app::simulate {

using Choices = std::span<const std::string_view>;

class Fields {
 public:
  virtual ~Fields() = default;
  virtual void text(std::string_view key, std::string& v, std::size_t longest, std::string_view doc) = 0;
  virtual void texts(std::string_view key, std::vector<std::string>& v, std::size_t most, std::string_view doc) = 0;
  virtual void choice(std::string_view key, std::string& v, Choices of, std::string_view doc) = 0;
  virtual void whole(std::string_view key, std::int64_t& v, std::int64_t low, std::int64_t high,
                     std::string_view doc) = 0;
  virtual void number(std::string_view key, double& v, double low, double high, std::string_view doc) = 0;
  virtual void flag(std::string_view key, bool& v, std::string_view doc) = 0;
  virtual void length(std::string_view key, Duration& v, Duration low, Duration high, std::string_view doc) = 0;
  virtual void span(std::string_view key, Span& v, Duration low, Duration high, std::string_view doc) = 0;
  virtual void moment(std::string_view key, Instant& v, std::string_view doc) = 0;
  virtual void towns(std::string_view key, TownChoice& v, std::string_view doc) = 0;
  virtual void curve(std::string_view key, Curve& v, std::string_view doc) = 0;
  virtual void numbers(std::string_view key, std::map<std::string, double, std::less<>>& v, Choices keys, double low,
                       double high, std::string_view doc) = 0;  // keys empty: any
  virtual void words(std::string_view key, std::map<std::string, std::string, std::less<>>& v, Choices keys,
                     std::string_view doc) = 0;
  virtual void source(std::string_view key, SourceSpec& v, std::string_view doc) = 0;
  virtual void expectations(std::string_view key, std::vector<Expectation>& v, std::string_view doc) = 0;
  /// line: where the value stands; called only when reading and when it is there.
  virtual void line_of(std::string_view key, std::uint32_t& line) = 0;
  virtual void required(std::string_view key) = 0;
  virtual bool has(std::string_view key) const = 0;  // explaining: always

  using Describe = std::function<void(Fields&)>;
  virtual void part(std::string_view key, const Describe& describe, std::string_view doc) = 0;
  /// add: makes one more item and describes it.
  virtual void parts(std::string_view key, std::size_t most, const std::function<void(Fields&)>& add,
                     std::string_view doc) = 0;
  /// A map whose keys are names: add(name, fields).
  virtual void named_parts(std::string_view key, Choices keys,
                           const std::function<void(const std::string&, Fields&)>& add, std::string_view doc) = 0;
};

/// Reads `text`, one YAML document, by the description.
std::vector<Fault> read_fields(std::string_view text, const Fields::Describe& describe);
std::string explain_fields(const Fields::Describe& describe);

}  // namespace bavn::app::simulate
