/** What a resource type's name may be: it stands in addresses, and names a folder of ours. */
export const TYPE_NAME = /^[A-Z][A-Za-z]{0,63}$/;
