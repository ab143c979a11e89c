declare module 'react-dom/client'; // it has no types of its own
