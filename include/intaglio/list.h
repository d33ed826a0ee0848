// A vector whose elements are checked where they are named.
//
// What a file says decides which element a rule or a pass looks at: sizes of a tensor by a dimension that is an argument, lists of
// strides by the rank of an operand. Whoever takes a node apart turns the exception into an error that names the node.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace intaglio {

template <typename T>
class List : public std::vector<T> {
  using Base = std::vector<T>;

 public:
  using Base::Base;
  List(Base list) : Base(std::move(list)) {}  // NOLINT: one is as good as the other

  // std::out_of_range where there is no such element.
  T& operator[](size_t index) { return Base::at(index); }
  const T& operator[](size_t index) const { return Base::at(index); }
  T& front() { return Base::at(0); }
  const T& front() const { return Base::at(0); }
  T& back() { return Base::at(Base::size() - 1); }
  const T& back() const { return Base::at(Base::size() - 1); }

  // The first and the last `count` elements, and all but these.
  List first(size_t count) const { return List(Base::begin(), place_of(count)); }
  List last(size_t count) const { return List(before_last(count), Base::end()); }
  List all_but_first(size_t count) const { return List(place_of(count), Base::end()); }
  List all_but_last(size_t count) const { return List(Base::begin(), before_last(count)); }

  void insert_at(size_t place, T element) { Base::insert(place_of(place), std::move(element)); }
  void insert_at(size_t place, std::initializer_list<T> elements) { Base::insert(place_of(place), elements); }
  void erase_at(size_t place) {
    (*this)[place];
    Base::erase(place_of(place));
  }

 private:
  typename Base::const_iterator place_of(size_t place) const {
    if (place > Base::size()) throw std::out_of_range("a place behind the end of a list");
    return Base::begin() + static_cast<std::ptrdiff_t>(place);
  }
  typename Base::const_iterator before_last(size_t count) const {
    if (count > Base::size()) throw std::out_of_range("more elements than a list has");
    return Base::end() - static_cast<std::ptrdiff_t>(count);
  }
};

}  // namespace intaglio

#pragma GCC visibility pop
