/**
 * What an element of a {@linkcode LinkedList} extends: the list has no nodes of
 * its own. An element is in one list at a time, or in none.
 */
export class ListElement {
  /** The list it is in. */
  list: object | undefined = undefined;
  /** Its neighbour towards the front, or the sentinel. */
  previous: ListElement | undefined = undefined;
  /** Its neighbour towards the back, or the sentinel. */
  next: ListElement | undefined = undefined;
}

/**
 * A doubly linked list: a ring closed by one sentinel, so that no operation has
 * a special case for an empty list, its first or its last element. Every
 * operation takes constant time but iteration.
 *
 * @typeParam Element What it holds.
 */
export class LinkedList<Element extends ListElement> {
  /** Stands before the front and behind the back. */
  readonly #sentinel = new ListElement();
  #size = 0;

  /** An empty list. */
  constructor() {
    this.#sentinel.next = this.#sentinel;
    this.#sentinel.previous = this.#sentinel;
  }

  /** How many elements are in the list. */
  get size(): number {
    return this.#size;
  }

  /** The last element, or `undefined`. */
  get back(): Element | undefined {
    const last = this.#sentinel.previous;
    return last === this.#sentinel ? undefined : last as Element;
  }

  /**
   * Puts an element in front of all others.
   *
   * @throws {TypeError} If it is in a list already.
   */
  pushFront(element: Element): void {
    if (element.list !== undefined) {
      throw new TypeError("Cannot push element: it is in a list already");
    }
    element.list = this;
    this.#size++;
    this.#linkFront(element);
  }

  /**
   * Takes an element out. It keeps no link to its neighbours, so that it holds
   * none of them in memory.
   *
   * @throws {TypeError} If it is not in this list.
   */
  remove(element: Element): void {
    this.#checkMember("remove", element);
    unlink(element);
    element.list = undefined;
    element.previous = undefined;
    element.next = undefined;
    this.#size--;
  }

  /**
   * Moves an element in front of all others.
   *
   * @throws {TypeError} If it is not in this list.
   */
  moveToFront(element: Element): void {
    this.#checkMember("move", element);
    if (this.#sentinel.next === element) return;
    unlink(element);
    this.#linkFront(element);
  }

  /** The elements from front to back. The one given last may be moved. */
  *[Symbol.iterator](): IterableIterator<Element> {
    let element = this.#sentinel.next as ListElement;
    while (element !== this.#sentinel) {
      const next = element.next as ListElement;
      yield element as Element;
      element = next;
    }
  }

  #linkFront(element: Element): void {
    const first = this.#sentinel.next as ListElement;
    element.previous = this.#sentinel;
    element.next = first;
    first.previous = element;
    this.#sentinel.next = element;
  }

  #checkMember(doing: string, element: Element): void {
    if (element.list !== this) {
      throw new TypeError(`Cannot ${doing} element: it is not in this list`);
    }
  }
}

function unlink(element: ListElement): void {
  const { previous, next } = element;
  (previous as ListElement).next = next;
  (next as ListElement).previous = previous;
}
